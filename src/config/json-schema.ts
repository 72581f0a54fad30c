// The configuration's shape as a JSON Schema, for editors. It is made from the same fields that are
// read, so that the two cannot tell different stories.

import { z } from 'zod';
import { cadenceFields, fields, namePattern } from './fields.ts';
import { packagePattern, packageRule, type Tables } from './tables.ts';

/** Parts that hold plain options alone. */
const plain = {
  dns: z.strictObject(fields.dns).optional(),
  log: z.strictObject(fields.log).optional(),
  metrics: z.strictObject(fields.metrics).optional(),
  audit: z.strictObject(fields.audit).optional(),
};

/**
 * The shape of a configuration as a JSON Schema (draft 2020-12), for editors: it knows every key
 * and its form, and leaves to `detour validate` what needs more than one place.
 */
export function jsonSchema(tables: Tables): object {
  const name = z.string().regex(namePattern);
  const byName = (value: z.ZodType) => z.record(name, value);
  /** Stands for the settings of a row until they are put in its place. */
  const hole = (of: string) => z.unknown().meta({ 'x-rows': of });
  const references = () => byName(hole('references')).optional();
  // What is only read for one version is not offered.
  const { drift: _policy, ...policy } = fields.policy;
  const { drift: _record, ...record } = fields.record;
  const paths = byName(
    z.strictObject({ ...fields.path, ...fields.exit, references: references() }).nullable(),
  );
  const shape = z.strictObject({
    ...fields.top,
    ...fields.secrets,
    providers: byName(hole('providers')),
    paths: paths.optional(),
    replicas: byName(z.strictObject({ ...fields.replica, paths: paths.optional() })).optional(),
    group: groupShape.optional(),
    clouds: byName(
      z.strictObject({ checks: byName(hole('services')).describe(ofClouds).optional() }).nullable(),
    ).optional(),
    origins: byName(
      z.strictObject({ ...fields.origin, checks: byName(hole('checks')).describe(ofOrigins) }),
    ),
    records: z.record(
      z.string(),
      z.strictObject({
        ...record,
        publish: z.array(z.union([name, z.strictObject(fields.publish)])).min(1),
        targets: z.array(z.strictObject(fields.target)).min(1),
      }),
    ),
    policy: z
      .strictObject({
        ...policy,
        confirmBudget: z.strictObject(fields.confirmBudget).optional(),
        references: references(),
      })
      .optional(),
    drills: drillsShape.optional(),
    notify: hole('notify').optional(),
    api: z.strictObject(fields.api).optional(),
    channels: byName(hole('channel')).optional(),
    ...plain,
  });
  const providers = Object.entries(tables.providers).map(([type, row]) =>
    withKeys(schemaOf(row.settings), {
      type: z.literal(type).describe('what kind of account it is'),
      ...keysOf(row),
    }),
  );
  const kinds = (keys: Record<string, z.ZodType>) => ({
    anyOf: [
      ...Object.values(tables.checks).map((row) => withKeys(schemaOf(row.settings), keys)),
      { ...withKeys(keyedByPackage, keys), additionalProperties: false },
    ],
  });
  const rows: Readonly<Record<string, object>> = {
    providers: { anyOf: [...providers, withKeys({ type: 'object' }, providerOfPackage)] },
    checks: kinds({ ...cadenceFields, ...fields.check }),
    services: kinds({ ...cadenceFields, ...fields.service }),
    references: kinds(cadenceFields),
    notify: waysOf(tables, {}),
    channel: waysOf(tables, fields.channel),
  };
  return { title: 'Configuration of Detour', ...filled(schemaOf(shape), rows) };
}

/** What Detour itself reads of a provider; of lines only where the vendor has some. */
function keysOf({ capabilities }: Tables['providers'][string]): Record<string, z.ZodType> {
  const { lineSubnets: _, ...plain } = fields.provider;
  return capabilities.lines === undefined ? plain : fields.provider;
}

/** With the settings of the rows in the place of what stands for them. */
function filled(shape: object, rows: Readonly<Record<string, object>>): object {
  return JSON.parse(JSON.stringify(shape, (_key, value) => rows[value?.['x-rows']] ?? value));
}

const ofClouds = 'what is asked of the cloud itself, by names of your own';

const ofOrigins = 'what is asked of it, by names of your own';

/** Every way to tell, with the keys that Detour itself reads beside it. */
function waysOf(tables: Tables, keys: Record<string, z.ZodType>): object {
  const own = Object.values(tables.notifiers).map((row) => schemaOf(row.settings));
  return {
    anyOf: [
      ...own.map((schema) => withKeys(schema, keys)),
      { ...withKeys(keyedByPackage, keys), additionalProperties: false },
    ],
  };
}

const groupShape = z.strictObject({
  ...fields.group,
  etcd: z.strictObject(fields.etcd).optional(),
  kubernetes: z.strictObject(fields.kubernetes).nullable().optional(),
});

const drillsShape = z.strictObject({
  ...fields.drills,
  records: z.record(z.string(), z.strictObject(fields.drillsOfRecord)).optional(),
});

/** Of a package the name alone is known: its settings are whatever they are. */
const providerOfPackage = {
  type: z.string().regex(packagePattern).describe(packageRule),
  ...fields.provider,
};

/** The package's word is a key here, and there must be one: not every key is another. */
const keyedByPackage = {
  type: 'object',
  patternProperties: { [packagePattern.source]: {} },
  not: { propertyNames: { not: { pattern: packagePattern.source } } },
};

function schemaOf(schema: z.ZodType): Record<string, unknown> {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', override: withBounds });
}

/** What a duration is for says nothing of its bounds, and an editor shows that text alone. */
function withBounds({ jsonSchema: own }: { jsonSchema: Record<string, unknown> }): void {
  const bounds = own['x-duration'] as readonly [string, string] | undefined;
  const says = own['description'];
  if (bounds === undefined || typeof says !== 'string' || says.startsWith('a duration')) return;
  own['description'] = `${says}; a duration from ${bounds[0]} to ${bounds[1]}`;
}

/** A row's schema with the keys that Detour itself reads beside it. */
function withKeys(own: Record<string, unknown>, keys: Record<string, z.ZodType>): object {
  const more = schemaOf(z.strictObject(keys)) as typeof own;
  const { $schema: _, ...rest } = own;
  return {
    ...rest,
    properties: { ...(more['properties'] as object), ...(own['properties'] as object) },
    required: [...((more['required'] as []) ?? []), ...((own['required'] as []) ?? [])],
  };
}
