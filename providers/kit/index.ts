// What somebody who writes a provider finds at `detour/provider`: its types, the marker, the notation
// of settings, and what the adapters here share. Other people's packages import from here, so a
// name that stands here stays.

export { z } from 'zod';
export { formatMarker, markerName, parseMarker } from '../../src/core/marker.ts';
export type {
  Change,
  Fault,
  FaultKind,
  Finding,
  Json,
  Marker,
  Name,
  Refusal,
  Result,
  Seen,
} from '../../src/core/model.ts';
export type {
  AdapterContext,
  Capabilities,
  Extension,
  Provider,
  ProviderType,
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
export { endpoint } from './endpoint.ts';
export {
  done,
  type Exchange,
  exchange,
  failed,
  fault,
  fieldsOf,
  garbled,
  networkFault,
  parseRetryAfter,
  scrub,
  statusFault,
} from './fault.ts';
export {
  bad,
  fromFault,
  fromProbe,
  fromSeen,
  good,
  lookAtRecord,
  mayTry,
  negativeTtl,
  never,
  ttlFloor,
  warn,
  zoneRead,
} from './preflight.ts';
export { nameFrom, quoteText, unquoteText, type ZoneFinder, zoneFinder } from './zone.ts';
