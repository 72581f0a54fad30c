// What somebody who writes a provider finds at `detour/provider`: its types, the marker, the notation
// of settings, and what the adapters here share. Other people's packages import from here, so a
// name that stands here stays.

export { z } from 'zod';
export { formatMarker, markerName, parseMarker } from '../../src/core/marker.ts';
export type {
  Answer,
  Change,
  Fault,
  FaultKind,
  Finding,
  Json,
  Marker,
  Name,
  Reach,
  Refusal,
  RefusalWord,
  Result,
  Seen,
} from '../../src/core/model.ts';
export type {
  AdapterContext,
  ByHand,
  Capabilities,
  Extension,
  HandStep,
  KeyClock,
  KeyFacts,
  Provider,
  ProviderType,
  ReachingFinding,
  ZoneFacts,
} from '../../src/kit/extend.ts';
export {
  dnsName,
  duration,
  hostPort,
  parseHostPort,
  type SecretRef,
  secretRef,
} from '../../src/kit/schema.ts';
export { agentFor, lookupOf, tunnelsOf } from './agents.ts';
export { sendHalving, sideBySide } from './batch.ts';
export { below, secretInShell, shellWord } from './by-hand.ts';
export { ByZone, type Finder, oneByOne, reachOf, type ZoneKey } from './by-zone.ts';
export { endpoint } from './endpoint.ts';
export {
  type Called,
  done,
  type Exchange,
  exchange,
  failed,
  fault,
  fieldsOf,
  garbled,
  loading,
  networkTrouble,
  parseRetryAfter,
  type Scope,
  scrub,
  statusTrouble,
  type Trouble,
} from './fault.ts';
export { guarded, halfway, isCname, isSame, isWritten, printSeen } from './guarded.ts';
export { fixedKeys, type Given, HeldKeys, type HeldOptions, type Keys } from './held.ts';
export {
  bad,
  fromAnswer,
  fromProbe,
  fromTrouble,
  good,
  lookAtRecord,
  mayTry,
  negativeTtl,
  never,
  ofAccount,
  ofRecord,
  ofZone,
  ttlFloor,
  warn,
  zoneRead,
} from './preflight.ts';
export { type ProxySettings, proxy, refuseClearProxy, type Tunnels } from './proxy.ts';
export { Room, type Told } from './room.ts';
export {
  Between,
  delegatedAt,
  nameFrom,
  namesBetween,
  quoteText,
  spellings,
  unquoteText,
  type ZoneFinder,
  zoneFinder,
} from './zone.ts';
