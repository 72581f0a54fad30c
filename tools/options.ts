// Every option of the configuration, in one notation, from the JSON Schema that the program itself makes
// of its fields: `records.*.ttl`, `check.http.expect.status`, `providers.cloudflare.apiToken`. Pure. It
// must never know an option by name that the schema does not.

export interface Schema {
  readonly type?: string | readonly string[];
  readonly const?: string | boolean;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly description?: string;
  readonly default?: unknown;
  /** From the least to the most, as a configuration writes them. */
  readonly 'x-duration'?: readonly [string, string];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: object;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly required?: readonly string[];
}

export interface Option {
  /** In the notation of this file. */
  readonly path: string;
  readonly schema: Schema;
  /** It must be given where what it belongs to is. */
  readonly required: boolean;
}

/** Whether it is a reference to a secret: `{ env }`, `{ file }` or `{ credential }`. */
export function isReference(schema: Schema): boolean {
  return Object.keys(schema.properties ?? {}).join() === 'env,file,credential';
}

/** Maps from names of the operator's own; `checks` of any kind are written in one notation. */
const byName = [
  ...['api.tokens', 'channels', 'paths', 'clouds', 'origins', 'records', 'replicas'],
  ...['drills.records', 'sla', 'delegation'],
];
const ofChecks = ['origins.*.checks', 'clouds.*.checks', 'paths.*.references', 'policy.references'];

/** Whether what stands below is named by the operator, not by Detour. */
export function namesAreTheirs(at: string): boolean {
  return [...byName, ...ofChecks, 'providers'].includes(at) || /\.labels$/.test(at);
}

/** The same notation for one step into a schema or a configuration; `row`: the type or kind there. */
export function stepInto(at: string, key: string, row: string | null): string {
  if (at === '') return key;
  if (at === 'providers') return `${at}.${row}`;
  if (ofChecks.includes(at)) return `check.${row}`;
  // What policy and a record both know is written once.
  if (/\.failback$/.test(at)) return `failback.${key}`;
  if (at === 'replicas.*' && key === 'paths') return key;
  if (at === 'notify') return `channels.*.${key}`;
  return byName.includes(at) ? `${at}.*` : `${at}.${key}`;
}

/** Every option that a schema knows, in its order; one that several places know stands there again. */
export function optionsOf(schema: Schema, kinds: readonly string[], at = ''): readonly Option[] {
  if (isReference(schema)) return [];
  const into = (below: Schema, path: string) => optionsOf(below, kinds, path);
  const own = Object.entries(schema.properties ?? {}).flatMap(([key, below]) => {
    const path = stepInto(at, key, null);
    const required = schema.required?.includes(key) ?? false;
    return [{ path, schema: below, required }, ...into(below, path)];
  });
  const { additionalProperties: more, items } = schema;
  const named = typeof more === 'object' ? rowsOf(more, kinds, at) : [];
  const listed = items === undefined ? [] : into(items, `${at}[]`);
  const either = (schema.anyOf ?? []).flatMap((one) => into(one, at));
  return [...own, ...named, ...listed, ...either];
}

/** Below a map by name: a row for each type of provider and kind of check, else one for all. */
function rowsOf(more: Schema, kinds: readonly string[], at: string): readonly Option[] {
  if (at !== 'providers' && !ofChecks.includes(at)) {
    return optionsOf(more, kinds, stepInto(at, '*', null));
  }
  return (more.anyOf ?? []).flatMap((row) => {
    // What a package's settings are is the package's business.
    if (row.properties?.['type']?.pattern !== undefined || row.patternProperties) return [];
    const kind = kinds.find((k) => row.required?.includes(k));
    const type = row.properties?.['type']?.const ?? kind;
    if (typeof type !== 'string') throw new Error(`a row of ${at} does not say what it is`);
    return optionsOf(row, kinds, stepInto(at, '*', type));
  });
}

/** With every option put in that the text shows behind a `#`, as `#name: value`. */
export function withAll(text: string): string {
  return text.replace(/^( *)#(?=[A-Za-z][A-Za-z0-9]*: )/gm, '$1');
}

/** What a part of a configuration says it is: its kind of check, or its type. */
export function rowOf(value: unknown, kinds: readonly string[]): string | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  return kinds.find((kind) => kind in value) ?? String((value as { type?: unknown }).type);
}

/** Every option that a configuration names, in the notation of this file. */
export function namedIn(value: unknown, kinds: readonly string[], at: string): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((item) => namedIn(item, kinds, `${at}[]`));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, below]) => {
    const path = stepInto(at, key, rowOf(below, kinds));
    return [path, ...namedIn(below, kinds, path)];
  });
}
