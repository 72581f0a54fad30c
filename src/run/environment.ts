// The environment that this process was started with, and what of it may reach anything. Of itself
// it configures nothing (design, rule 28): what Node has taken in for good stops the start by name.
// All else but a few harmless words is taken out of the process before a library can look for it,
// home directory included, for any vendor's SDK reads words of its own. References to secrets and the
// notify command are served from what was given. It must never quote a value.

import { existsSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates, setDefaultCACertificates } from 'node:tls';

type Environment = Readonly<Record<string, string | undefined>>;

/** Harmless, and needed by what we start or by how we speak. */
const kept =
  /^(PATH|LANG|LANGUAGE|LC_[A-Z]+|TZ|TERM|COLORTERM|NO_COLOR|FORCE_COLOR|TMPDIR|DETOUR_\w+)$/;

/** Words of NODE_OPTIONS that are about memory and traces alone. */
const harmlessOption =
  /^--(max-(old|semi)-space-size(-percentage)?(=\d+)?|stack-trace-limit(=\d+)?|stack-size=\d+|disable-sigusr1|enable-source-maps|(no-)?(warnings|deprecation)|trace-(warnings|deprecation|uncaught)|unhandled-rejections=strict|v8-pool-size=\d+)$/;

interface Stopper {
  readonly name: string;
  /** It does harm with this value. */
  readonly harms: (value: string) => boolean;
  readonly does: string;
}

const always = () => true;

/** Taken in by Node or OpenSSL before the first line of ours runs: too late to be undone. */
const stoppers: readonly Stopper[] = [
  {
    name: 'NODE_TLS_REJECT_UNAUTHORIZED',
    harms: (value) => value === '0',
    does: 'turns off the verification of every certificate',
  },
  {
    name: 'NODE_USE_ENV_PROXY',
    harms: (value) => value === '1',
    does: 'sends requests and their keys through proxies that no configuration names',
  },
  {
    name: 'NODE_OPTIONS',
    harms: (value) => harmfulOptions(value).length > 0,
    does: 'may load code, trust other authorities or weaken TLS',
  },
  { name: 'NODE_DEBUG', harms: always, does: 'prints requests with their keys' },
  { name: 'NODE_DEBUG_NATIVE', harms: always, does: 'prints what connections carry' },
  { name: 'OPENSSL_CONF', harms: always, does: 'may weaken TLS' },
  { name: 'OPENSSL_MODULES', harms: always, does: 'loads cryptography from elsewhere' },
  { name: 'OPENSSL_ENGINES', harms: always, does: 'loads cryptography from elsewhere' },
];

/** Would reach a library of ours, and is taken away: worth a word, because somebody meant it. */
const overridden: readonly (readonly [name: RegExp, does: string])[] = [
  [/^AWS_/, 'the SDK of AWS would take addresses, keys and authorities from it'],
  [/^CLOUDFLARE_/, 'the SDK of Cloudflare would take its address, keys and log level from it'],
  [/^(ALIBABA_?CLOUD|ALICLOUD|ALIYUN)_/, 'the SDK of Alibaba Cloud would take keys from it'],
  [/^(AZURE|GOOGLE|GCLOUD|CLOUDSDK|OCI|TENCENTCLOUD|HUAWEICLOUD|VOLC)_/, 'an SDK would read it'],
  [/^(HTTPS?|ALL|NO|FTP)_PROXY$/i, 'libraries would send requests elsewhere by it'],
  [
    /^(NODE_EXTRA_CA_CERTS|NODE_USE_SYSTEM_CA|SSL_CERT_FILE|SSL_CERT_DIR)$/,
    'other authorities would vouch for anybody by it; name a `ca` where one is needed',
  ],
  [/^(LOCALDOMAIN|RES_OPTIONS|HOSTALIASES)$/, 'names would mean something else by it'],
  [/^DEBUG$/, 'libraries would print what they send by it'],
];

/** Where SDKs look for settings in a home directory. */
const homeFiles = ['.aws/config', '.aws/credentials', '.alibabacloud/credentials', '.aliyun'];

/** Debian's word for a home that is not there. */
const noHome = '/nonexistent';

let given: Environment = process.env;

/** What the process was started with: for references to secrets, and for who is told. */
export function environment(): Environment {
  return given;
}

interface Sealed {
  /** Why it cannot be started with this environment, one sentence each with its cure. */
  readonly problems: readonly string[];
  /** What was taken away and would have mattered, as one sentence without a value; null: nothing. */
  readonly overridden: string | null;
}

/**
 * Takes everything out of the process's environment that could configure something, once, before
 * anything that may look is loaded. Where there are problems, nothing may be started.
 */
export function sealEnvironment(): Sealed {
  given = { ...process.env };
  const found = overriddenIn(given, homeOf());
  for (const name of Object.keys(given)) if (!kept.test(name)) delete process.env[name];
  process.env['HOME'] = noHome;
  // Node has read other authorities' certificates by now, or would: its own list takes their place.
  setDefaultCACertificates([...rootCertificates]);
  keepOutOfCores();
  return { problems: problemsOf(given), overridden: found };
}

/** Null: none, as for a user that is only a number, in a pod. */
function homeOf(): string | null {
  try {
    return homedir();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SYSTEM_ERROR') throw error;
    return null;
  }
}

/** The sentences of `Sealed.problems`, for an environment. */
export function problemsOf(env: Environment): readonly string[] {
  return stoppers.flatMap(({ name, harms, does }) => {
    const value = env[name];
    if (value === undefined || value === '' || !harms(value)) return [];
    const options = name === 'NODE_OPTIONS' ? ` (${harmfulOptions(value).join(' ')})` : '';
    return [
      `${name}${options} in the environment ${does}: start without it ` +
        `(env -u ${name} detour …, or take it out of the unit or the pod)`,
    ];
  });
}

function overriddenIn(env: Environment, home: string | null): string | null {
  const names = Object.keys(env).toSorted();
  const said = overridden.flatMap(([pattern, does]) => {
    const found = names.filter((name) => pattern.test(name));
    return found.length === 0 ? [] : [`${found.join(', ')} (${does})`];
  });
  const places = home === null ? [] : homeFiles.map((name) => join(home, name));
  const files = places.filter((path) => existsSync(path));
  if (files.length > 0) said.push(`${files.join(', ')} (an SDK would read it)`);
  if (said.length === 0) return null;
  const cure = 'what is needed is named in the configuration';
  return `not taken from the environment: ${said.join('; ')}; ${cure}`;
}

function harmfulOptions(value: string): readonly string[] {
  const words = value.split(/\s+/).filter((word) => word !== '');
  // Never what stands behind the equals sign: it may be a secret's path or worse.
  return words.filter((word) => !harmlessOption.test(word)).map((word) => word.split('=')[0]!);
}

/** Memory of ours is left out of a core dump, whoever takes it (core(5)). */
function keepOutOfCores(): void {
  try {
    writeFileSync('/proc/self/coredump_filter', '0');
  } catch {
    // No such file outside Linux, or /proc is hidden: the limits of the unit and the image remain.
  }
}
