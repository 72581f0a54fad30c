// What somebody who writes a check finds at `detour/check`: its types, and the notation of settings.
// Other people's packages import from here, so a name that stands here stays.

export { z } from 'zod';
export type { Phases } from '../core/model.ts';
export type { AdapterContext, CheckType, Extension, PathSpec, ProbeResult } from './extend.ts';
export {
  dnsName,
  duration,
  type HostPort,
  hostPort,
  parseHostPort,
  type SecretRef,
  secretRef,
} from './schema.ts';
