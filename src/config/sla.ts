// What a cloud promises in its agreement, as written in the configuration: services, what of a cloud
// each stands for, and from which availability on how much of the bill is given back. Values alone:
// nothing here counts time.

import { z } from 'zod';
import { isZone } from './windows.ts';

/** One service of a cloud under its agreement. */
export interface SlaService {
  readonly service: string;
  /** Which diagnoses of the cloud are its outage: of machines, of what wants the cloud's keys. */
  readonly plane: 'resource' | 'service';
  /** The highest bound first. `below`: percent of a month; `credit`: percent of the month's bill. */
  readonly tiers: readonly { readonly below: number; readonly credit: number }[];
}

const percent = (what: string) => {
  const error = 'expected percent, a number above 0 and at most 100';
  return z.number({ error }).positive({ error }).max(100, { error }).describe(what);
};

const tier = z.strictObject({
  below: percent('availability of a month in percent below which this is given back'),
  credit: percent('percent of the bill of the month that is given back'),
});

const service = z.strictObject({
  service: z.string().min(1).max(60).describe('what it is for, such as object storage'),
  plane: z
    .enum(['resource', 'service'])
    .default('resource')
    .describe('what fails with it: machines, or what wants the cloud to authenticate'),
  tiers: z
    .array(tier)
    .min(1)
    .max(10)
    .refine((all) => new Set(all.map(({ below }) => below)).size === all.length, {
      error: 'expected each bound once',
    })
    .transform((all) => all.toSorted((a, b) => b.below - a.below)),
});

/** By cloud, its services. */
export const slaSchema = z
  .record(z.string(), z.array(service).min(1).max(10))
  .describe("what each cloud's agreement promises, for `detour report sla`");

/** A zone of IANA's time zone database that this runtime knows. */
export const timezone = z
  .string()
  .describe('zone of the times in reports and schedules, such as Asia/Shanghai')
  .refine(isZone, { error: 'expected a time zone of IANA, such as UTC or Asia/Shanghai' })
  .default('UTC');
