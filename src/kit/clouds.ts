// By which names people call who runs a cloud: `aws`, `aws-prod` and `my-aliyun` are names of their
// own choice, and two of them may be one company. It knows names alone: whether something sits in a
// cloud is for whoever asks to say.

interface Family {
  readonly title: string;
  readonly names: readonly string[];
  /**
   * Its own DNS when it was the sick one: a day on which it served and could not be changed, and for
   * how long, in minutes; as `detour simulate` replays it. Absent: no such day is known.
   */
  readonly unchanged?: { readonly day: string; readonly minutes: number };
}

const families = {
  alibaba: {
    title: 'Alibaba',
    names: ['aliyun', 'alibaba', 'alibabacloud', 'alicloud', 'ali'],
    unchanged: { day: '2023-11-12', minutes: 101 },
  },
  aws: {
    title: 'AWS',
    names: ['aws', 'amazon', 'ec2'],
    unchanged: { day: '2025-10-20', minutes: 157 },
  },
  cloudflare: {
    title: 'Cloudflare',
    names: ['cloudflare'],
    unchanged: { day: '2023-11-02', minutes: 374 },
  },
  facebook: { title: 'Facebook', names: ['facebook', 'meta', 'fb'] },
  google: { title: 'Google', names: ['google', 'gcp', 'gcloud', 'googlecloud'] },
  dyn: { title: 'Dyn', names: ['dyn'] },
  azure: { title: 'Azure', names: ['azure', 'microsoft'] },
  akamai: { title: 'Akamai', names: ['akamai', 'edgekey'] },
  tencent: {
    title: 'Tencent',
    names: ['tencent', 'tencentcloud', 'qcloud', 'dnspod'],
    unchanged: { day: '2024-04-08', minutes: 42 },
  },
} as const satisfies Readonly<Record<string, Family>>;

export type CloudFamily = keyof typeof families;

/** As people call the company. */
export function familyTitle(family: CloudFamily): string {
  return families[family].title;
}

/** Whether `aws`, `aws-prod` or `my-aliyun` is a name for a company. */
export function isOfFamily(name: string, family: CloudFamily): boolean {
  const words = name.toLowerCase().split(/[^a-z0-9]+/);
  return families[family].names.some((alias) => words.includes(alias));
}

/** The company that a name is a name for; null: none that is known. */
export function familyOf(name: string): CloudFamily | null {
  const all = Object.keys(families) as CloudFamily[];
  return all.find((family) => isOfFamily(name, family)) ?? null;
}

/** Whether two names of clouds are names of one: the same, or both of one company. */
export function isOneCloud(a: string, b: string): boolean {
  const family = familyOf(a);
  return a === b || (family !== null && family === familyOf(b));
}

/** The day on which a cloud's own DNS could not be changed; null: none is known. */
export function unchangedDay(cloud: string): NonNullable<Family['unchanged']> | null {
  const family = familyOf(cloud);
  const { unchanged }: Family = family === null ? { title: '', names: [] } : families[family];
  return unchanged ?? null;
}
