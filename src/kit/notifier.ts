// What somebody who writes a channel finds at `detour/notifier`: its types, and the notation of
// settings. Other people's packages import from here, so a name that stands here stays.

export { z } from 'zod';
export type { Json, Name, Notice } from '../core/model.ts';
export type {
  AdapterContext,
  Extension,
  Notifier,
  NotifierContext,
  NotifierType,
  Told,
} from './extend.ts';
export {
  dnsName,
  duration,
  type HostPort,
  hostPort,
  parseHostPort,
  type SecretRef,
  secretRef,
} from './schema.ts';
