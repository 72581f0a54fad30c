// What `kubectl kustomize` makes of the folders under deploy/kubernetes, as far as they use it:
// resources, strategic patches, files in a ConfigMap, a namespace. So that `npm test` can look at
// whole pods without a Go program; test/long/kube-manifests.ts holds it to the real one. It must
// refuse what it does not know, and never guess.

import { readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, parseAllDocuments } from 'yaml';

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  // biome-ignore lint/suspicious/noExplicitAny: a manifest is what Kubernetes says it is.
  readonly [key: string]: any;
}

export type Mode = 'single' | 'lease' | 'etcd';
export const modes: readonly Mode[] = ['single', 'lease', 'etcd'];

// biome-ignore lint/suspicious/noExplicitAny: a manifest is what Kubernetes says it is.
type Any = any;

/** By what elements of a list are the same, as the API has it (patchMergeKey). */
const mergeKeys: Readonly<Record<string, string>> = {
  containers: 'name',
  env: 'name',
  ports: 'containerPort',
  volumes: 'name',
  volumeMounts: 'mountPath',
};

export const overlays = fileURLToPath(new URL('../../deploy/kubernetes/overlays', import.meta.url));

/** The objects of one way of running Detour. */
export function overlay(mode: Mode): readonly Manifest[] {
  return built(join(overlays, mode));
}

/** The only one of a kind and name. Throws where there is none or are more. */
export function oneOf(manifests: readonly Manifest[], kind: string, name = 'detour'): Manifest {
  const found = manifests.filter((m) => m.kind === kind && m.metadata.name === name);
  if (found.length !== 1) throw new Error(`${found.length} of ${kind} ${name}`);
  return found[0]!;
}

export function documentsIn(text: string): readonly Manifest[] {
  return parseAllDocuments(text).flatMap((document) => {
    if (document.errors.length > 0) throw document.errors[0]!;
    const object = document.toJS() as Manifest | null;
    return object === null ? [] : [object];
  });
}

function built(folder: string): readonly Manifest[] {
  const read = (file: string) => readFileSync(join(folder, file), 'utf8');
  const { apiVersion, kind, namespace, resources, patches, configMapGenerator, ...rest } = parse(
    read('kustomization.yaml'),
  );
  if (Object.keys(rest).length > 0) throw new Error(`${folder}: ${Object.keys(rest).join(', ')}`);
  let objects: readonly Manifest[] = resources.flatMap((path: string) =>
    statSync(join(folder, path)).isDirectory()
      ? built(join(folder, path))
      : documentsIn(read(path)),
  );
  for (const { name, files, options, ...more } of configMapGenerator ?? []) {
    if (Object.keys(more).length > 0) throw new Error(`${folder}: ${Object.keys(more).join(', ')}`);
    const data = Object.fromEntries(files.map((file: string) => [basename(file), read(file)]));
    const metadata = { name, labels: options.labels };
    objects = [...objects, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data }];
  }
  for (const { path } of patches ?? []) {
    const [patch] = documentsIn(read(path));
    const isIts = (m: Manifest) =>
      m.kind === patch!.kind && m.metadata.name === patch!.metadata.name;
    if (objects.filter(isIts).length !== 1) throw new Error(`${path} is of no object`);
    objects = objects.map((m) => (isIts(m) ? (merged(m, patch) as Manifest) : m));
  }
  return namespace === undefined ? objects : objects.map((object) => placed(object, namespace));
}

function placed(object: Manifest, namespace: string): Manifest {
  const subjects = object['subjects']?.map((subject: object) => ({ ...subject, namespace }));
  const metadata = { ...object.metadata, namespace };
  return { ...object, metadata, ...(subjects === undefined ? {} : { subjects }) };
}

function merged(base: Any, patch: Any, field = ''): Any {
  if (Array.isArray(patch)) {
    const key = mergeKeys[field];
    if (base === undefined) return patch;
    if (key === undefined) throw new Error(`a patch of ${field} is not known here`);
    const same = (one: Any) => (other: Any) => one[key] === other[key];
    const old = base.filter((one: Any) => !patch.some(same(one)));
    const changed = patch.map((one: Any) => merged(base.find(same(one)) ?? {}, one));
    return [...changed, ...old];
  }
  if (typeof patch !== 'object' || patch === null) return patch;
  const out = { ...base };
  for (const [name, value] of Object.entries(patch)) out[name] = merged(base?.[name], value, name);
  return out;
}
