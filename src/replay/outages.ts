// The great outages as traces: what failed of whom, where, how and when (UTC), what kept working,
// and where that is written. Data and its types only: nothing here knows a configuration or the
// engine. What the sources leave open is assumed in the open: `assumed` says so, a line each, and is
// printed with every replay. A time or a share that no source gives must never stand here without.

import type { CloudFamily } from '../kit/clouds.ts';

/** Who was struck; `kit/clouds.ts` knows by which names a configuration calls them. */
export type Company = CloudFamily;

/** How something fails: at once or by silence, and with which answer. */
export type Manner = 'refuse' | '5xx' | 'hang' | 'denied' | 'nxdomain' | 'servfail' | 'tls';

/**
 * `machines`: what answers for an origin (checks of origins, plane `resource`). `services`: what
 * wants the cloud's authentication or its managed services (plane `service`). `control`: console and
 * API (plane `control`). `api`: reading and writing records at its DNS. `authority`: its
 * authoritative servers. `resolver`: its public resolver.
 */
export type Part = 'machines' | 'services' | 'control' | 'api' | 'authority' | 'resolver';

export interface Strike {
  readonly whose: Company;
  readonly what: Part;
  readonly manner: Manner;
  /** Absent: all of them. */
  readonly regions?: readonly string[];
  /** Share of requests that fail; absent: all. */
  readonly share?: number;
}

/** From `at` on exactly this fails, until the next phase. */
interface Phase {
  /** UTC, ISO 8601. */
  readonly at: string;
  readonly says: string;
  readonly strikes: readonly Strike[];
}

export interface Outage {
  readonly id: string;
  readonly title: string;
  /** Whose outage it was: what `--as` puts another in the place of. */
  readonly whose: Company;
  readonly failed: string;
  readonly worked: string;
  readonly lesson: string;
  readonly sources: readonly string[];
  /** What the sources do not say and the replay had to take as given. */
  readonly assumed: readonly string[];
  /** In order of time; the last one strikes nothing: the end. */
  readonly phases: readonly Phase[];
}

/** Addresses of the public resolver that failed on 2025-07-14. */
export const resolverAddresses: readonly string[] = [
  '1.1.1.1',
  '1.0.0.1',
  '2606:4700:4700::1111',
  '2606:4700:4700::1001',
];

const alibaba = (what: Part, manner: Manner): Strike => ({ whose: 'alibaba', what, manner });
const cloudflare = (what: Part, manner: Manner): Strike => ({ whose: 'cloudflare', what, manner });
const facebook = (what: Part, manner: Manner): Strike => ({ whose: 'facebook', what, manner });
const virginia = (what: Part, manner: Manner, share = 1): Strike => ({
  ...{ whose: 'aws', what, manner, share, regions: ['us-east-1'] },
});
const hongKong = (what: Part, manner: Manner, share = 1): Strike => ({
  ...{ whose: 'alibaba', what, manner, share, regions: ['cn-hongkong'] },
});

const authRefused = [
  alibaba('services', 'denied'),
  alibaba('control', 'denied'),
  alibaba('api', 'denied'),
];

const alibaba2023: Outage = {
  id: 'alibaba-2023-11-12',
  title: 'Alibaba Cloud: authentication of every region',
  whose: 'alibaba',
  failed:
    'The access-key service refused valid requests: consoles and management APIs of all regions, ' +
    'and with them object storage, table store, logs and queues.',
  worked: 'Machines, databases and the network ran on; DNS went on answering.',
  lesson: '"Invalid key" may be the outage: keys are kept, retried slowly, and told of.',
  sources: [
    'customer RCA quoted at codetd.com and oxo-chat-server.com',
    'blog.vonng.com/en/cloud/aliyun',
    'gamingdeputy.com',
  ],
  assumed: [
    'which regions came back from 18:35 CST on is not said: yours come back with most, at 19:20',
    "Alibaba's DNS API refused keys like every other management API",
  ],
  phases: [
    {
      at: '2023-11-12T09:39:00Z',
      says: 'access keys are refused in every region: consoles, APIs, object storage (17:39 CST)',
      strikes: authRefused,
    },
    {
      at: '2023-11-12T09:50:00Z',
      says: 'Alibaba suspects the access-key service (17:50 CST)',
      strikes: authRefused,
    },
    {
      at: '2023-11-12T10:01:00Z',
      says: 'the cause is known: an incomplete whitelist; the fix begins at 18:07 CST',
      strikes: authRefused,
    },
    {
      at: '2023-11-12T10:35:00Z',
      says: 'the first regions come back (18:35 CST)',
      strikes: authRefused,
    },
    { at: '2023-11-12T11:20:00Z', says: 'most regions are back (19:20 CST)', strikes: [] },
  ],
};

const dynamoGone = [
  virginia('services', 'nxdomain'),
  virginia('control', '5xx'),
  { whose: 'aws', what: 'api', manner: '5xx' } as const,
];

const aws2025: Outage = {
  id: 'aws-2025-10-20',
  title: 'AWS us-east-1: the name of DynamoDB without an address',
  whose: 'aws',
  failed:
    'A race in the DNS automation left dynamodb.us-east-1.amazonaws.com empty; with it went the ' +
    'control plane of EC2, and changes to Route 53 records were impossible.',
  worked:
    'Running machines and the Route 53 name servers; load balancers until their health checks ' +
    'began to take healthy capacity away.',
  lesson:
    'A vendor whose DNS answers may still be unwritable just when it is needed; write elsewhere ' +
    'at once and let that lane converge when it can.',
  sources: ['aws.amazon.com/message/101925', 'failure-modes.dev fm-020', 'ernestchiang.com'],
  assumed: [
    'Route 53 could be neither read nor written until the name was back (09:25)',
    'a `service` check in us-east-1 depends on DynamoDB',
    'from 09:25 to 09:40 half of the clients still kept the empty answer (negative TTL 15 min)',
    'the share of failing connections through load balancers is not said: 10 %',
  ],
  phases: [
    {
      at: '2025-10-20T06:48:00Z',
      says: 'dynamodb.us-east-1 has no address any more; Route 53 takes no changes (23:48 PDT)',
      strikes: dynamoGone,
    },
    {
      at: '2025-10-20T09:25:00Z',
      says: 'the name is restored by hand; launches of machines go on failing (02:25 PDT)',
      strikes: [virginia('services', 'nxdomain', 0.5), virginia('control', '5xx')],
    },
    {
      at: '2025-10-20T09:40:00Z',
      says: 'the last caches have let go of the empty answer (02:40 PDT)',
      strikes: [virginia('control', '5xx')],
    },
    {
      at: '2025-10-20T12:30:00Z',
      says: 'load balancers drop healthy machines: connection errors (05:30 PDT)',
      strikes: [virginia('control', '5xx'), virginia('machines', 'refuse', 0.1)],
    },
    {
      at: '2025-10-20T17:36:00Z',
      says: 'machines can be launched again (10:36 PDT)',
      strikes: [virginia('machines', 'refuse', 0.1)],
    },
    { at: '2025-10-20T21:09:00Z', says: 'load balancers are well (14:09 PDT)', strikes: [] },
    { at: '2025-10-20T21:20:00Z', says: 'the end (14:20 PDT)', strikes: [] },
  ],
};

const proxyFails = [
  cloudflare('machines', '5xx'),
  cloudflare('services', '5xx'),
  cloudflare('control', '5xx'),
];

/** A new file every five minutes, good or bad in turn, until only bad ones are made. */
function oscillation(): Phase[] {
  const from = Date.parse('2025-11-18T11:20:00Z');
  return Array.from({ length: 22 }, (_, i) => ({
    at: new Date(from + i * 300_000).toISOString(),
    says:
      i === 0
        ? 'HTTP 5xx from the proxy; Workers KV, Access and Turnstile fail, and with it the login'
        : i % 2 === 0
          ? 'a bad file again: the proxy fails'
          : 'a good file: the proxy recovers',
    strikes: i % 2 === 0 ? proxyFails : [cloudflare('control', '5xx')],
  }));
}

const cloudflare2025: Outage = {
  id: 'cloudflare-2025-11-18',
  title: 'Cloudflare: the proxy fails, recovers and fails',
  whose: 'cloudflare',
  failed:
    'An oversized bot-management file made the proxy answer HTTP 5xx, coming and going every few ' +
    'minutes; Workers KV, Access and Turnstile failed, and so did logging in to the dashboard.',
  worked: 'DNS went on answering; an API token made beforehand went on working.',
  lesson:
    'Leave fast, come back slowly; have a tested token before the day, and nothing proxied ' +
    'in the way.',
  sources: [
    'excerpts of the official post at hb.int2inf.com and gncrypto',
    'oneuptime.com, "why our Cloudflare failover failed"',
  ],
  assumed: [
    'good and bad files in turn, five minutes each, until 13:10; then bad ones only until 14:30',
    'the API took tokens (one user says it did not; the official text speaks of logins)',
    'a `control` check asks the dashboard',
    'what was restored between 14:30 and 17:06 is not yours',
  ],
  phases: [
    {
      at: '2025-11-18T11:05:00Z',
      says: 'a change of permissions; the file of bots begins to grow',
      strikes: [],
    },
    ...oscillation(),
    {
      at: '2025-11-18T13:10:00Z',
      says: 'only bad files are made now: the proxy fails without a break',
      strikes: proxyFails,
    },
    { at: '2025-11-18T14:30:00Z', says: 'core traffic flows again', strikes: [] },
    { at: '2025-11-18T17:06:00Z', says: 'everything is restored', strikes: [] },
  ],
};

const facebookGone = [
  facebook('machines', 'servfail'),
  facebook('services', 'servfail'),
  facebook('control', 'servfail'),
  facebook('api', 'hang'),
  facebook('authority', 'hang'),
];

const facebook2021: Outage = {
  id: 'facebook-2021-10-04',
  title: 'Facebook: its name servers withdraw themselves',
  whose: 'facebook',
  failed:
    'The backbone went; every name server saw every data centre dead, believed it, and ' +
    'withdrew its ' +
    'own routes. All names were gone, with them the tools and the doors that depended on them.',
  worked: 'The DNS processes themselves, and everybody else.',
  lesson:
    'Fail static: when everything looks dead the sensor is the likelier culprit. Keep the ' +
    'last good ' +
    'answer, tell somebody, never withdraw.',
  sources: [
    'engineering.fb.com (quoted at beaude.net)',
    'blog.cloudflare.com/october-2021-facebook-outage',
    'sujeet.pro',
  ],
  assumed: [
    'everything was gone from 15:40 to 21:00; resolvers are taken to say SERVFAIL all that time',
  ],
  phases: [
    {
      at: '2021-10-04T15:40:00Z',
      says: 'the backbone is down; the name servers withdraw their routes',
      strikes: facebookGone,
    },
    {
      at: '2021-10-04T15:51:00Z',
      says: 'resolvers everywhere answer SERVFAIL',
      strikes: facebookGone,
    },
    { at: '2021-10-04T21:00:00Z', says: 'the routes are back', strikes: [] },
  ],
};

const alibabaHongKong2022: Outage = {
  id: 'alibaba-hongkong-2022-12-18',
  title: 'Alibaba Cloud Hong Kong, zone C: cooling',
  whose: 'alibaba',
  failed:
    'Cooling failed and machines were shut down in steps; the control plane of the region was ' +
    'overrun (20 % availability at 14:49 CST).',
  worked: 'Other regions, and DNS. Hosts still answered ping while HTTP and SSH were dead.',
  lesson:
    "Ask the service, not ICMP, and see the check fail once: a user's own failover did not fire " +
    'because its monitor was misconfigured.',
  sources: [
    'translations of the official report at besthub.dev',
    'idcnova.com (SCMP)',
    'theregister.com',
    'ze3kr.com (a user: down 10:49 to 20:46 CST)',
  ],
  assumed: [
    'all that you have in cn-hongkong is in zone C',
    'until 10:49 CST a tenth of the requests fails, then all (as at that user)',
    'between 19:47 and 20:46 CST half of the requests fail',
  ],
  phases: [
    { at: '2022-12-18T00:56:00Z', says: 'the first alarm of the cooling (08:56 CST)', strikes: [] },
    {
      at: '2022-12-18T01:23:00Z',
      says: 'the first machines go down (09:23 CST)',
      strikes: [hongKong('machines', 'hang', 0.1)],
    },
    {
      at: '2022-12-18T02:49:00Z',
      says: 'load is shed, a user is down: ping answers, HTTP does not (10:49 CST)',
      strikes: [hongKong('machines', 'hang'), hongKong('services', '5xx')],
    },
    {
      at: '2022-12-18T06:49:00Z',
      says: 'sprinklers; the control plane answers one request in five (14:49 CST)',
      strikes: [
        hongKong('machines', 'hang'),
        hongKong('services', '5xx'),
        hongKong('control', '5xx', 0.8),
      ],
    },
    {
      at: '2022-12-18T11:47:00Z',
      says: 'cooling is back, services recover (19:47 CST)',
      strikes: [hongKong('machines', 'hang', 0.5), hongKong('services', '5xx', 0.5)],
    },
    { at: '2022-12-18T12:46:00Z', says: 'that user is up again (20:46 CST)', strikes: [] },
    { at: '2022-12-18T14:50:00Z', says: 'the end (22:50 CST)', strikes: [] },
  ],
};

const sinkholed = [alibaba('services', 'tls'), alibaba('control', 'tls'), alibaba('api', 'tls')];

const aliyuncs2025: Outage = {
  id: 'aliyuncs-2025-06-06',
  title: 'aliyuncs.com delegated to a sinkhole',
  whose: 'alibaba',
  failed:
    "The registry's name servers of aliyuncs.com pointed to a sinkhole: object storage, CDN, " +
    'registry ' +
    "and the DNS API resolved to a stranger's addresses.",
  worked: 'Machines under names of their own; the DNS zones themselves, served by other names.',
  lesson:
    'A sinkhole answers: TLS must be verified, and a wrong certificate is an API out of ' +
    'reach, not ' +
    'a reason to try harder.',
  sources: ['news.sina.cn 2025-06-08', '21cto.com', 'csdn (solihawk)'],
  assumed: ['all of it from 02:57 to 08:40 CST; longer where the delegation was cached'],
  phases: [
    {
      at: '2025-06-05T18:57:00Z',
      says: 'aliyuncs.com leads to a sinkhole (02:57 CST)',
      strikes: sinkholed,
    },
    { at: '2025-06-05T20:04:00Z', says: 'the cause is known (04:04 CST)', strikes: sinkholed },
    {
      at: '2025-06-06T00:11:00Z',
      says: 'the delegation is repaired; caches keep the old one (08:11 CST)',
      strikes: sinkholed,
    },
    { at: '2025-06-06T00:40:00Z', says: 'mostly recovered (08:40 CST)', strikes: [] },
  ],
};

const dashboardGone = [cloudflare('control', '5xx'), cloudflare('api', '5xx')];

const cloudflare2023: Outage = {
  id: 'cloudflare-2023-11-02',
  title: 'Cloudflare: control plane without power',
  whose: 'cloudflare',
  failed: 'A data centre lost power: dashboard, API (and with it edits of DNS) and analytics.',
  worked: 'The proxy and the authoritative name servers.',
  lesson: 'A vendor that answers and cannot be changed for six hours: have a second one delegated.',
  sources: ['blog.cloudflare.com/post-mortem-on-cloudflare-control-plane-and-analytics-outage'],
  assumed: [
    'records could be edited again from 17:57 on; analytics (until 11-04 04:25) move nobody',
  ],
  phases: [
    {
      at: '2023-11-02T11:43:00Z',
      says: 'dashboard and API fail; DNS goes on answering',
      strikes: dashboardGone,
    },
    {
      at: '2023-11-02T17:57:00Z',
      says: 'most of the control plane is back at the second site',
      strikes: [],
    },
  ],
};

const google = (what: Part, regions?: readonly string[]): Strike => ({
  ...{ whose: 'google', what, manner: '5xx' },
  ...(regions === undefined ? {} : { regions }),
});

const google2025: Outage = {
  id: 'google-2025-06-12',
  title: 'Google Cloud: Service Control, and Cloudflare with it',
  whose: 'google',
  failed:
    'The layer that checks quota and authorization in front of every API crashed in all regions: ' +
    "HTTP 503. Cloudflare's Workers KV, Access and part of its dashboard failed with it (148 min).",
  worked: "Running machines, mostly; Cloudflare's DNS and proxy.",
  lesson:
    'Vendors share fates: two that lean on one third are not independent. An API that fails does ' +
    'not mean that the machines behind it do.',
  sources: [
    'Google incident ow5i3PPK96RduMcb1SsW (copies: ventrata, zebra, drdroid)',
    'postmortems.app',
    'the Cloudflare post, summarised at madebydanny.uk and cybernoz',
  ],
  assumed: [
    'regions other than us-central1 recover with the bypass after 40 min, us-central1 after 160',
    "Cloudflare's part lasts 148 min from the same minute on",
    'what was left until 18:18 PDT is not yours',
  ],
  phases: [
    {
      at: '2025-06-12T17:51:00Z',
      says: 'every API answers 503, everywhere; Workers KV and Access fail with it (10:51 PDT)',
      strikes: [google('services'), google('control'), cloudflare('services', '5xx')],
    },
    {
      at: '2025-06-12T18:31:00Z',
      says: 'the bypass is out; a restart herd holds us-central1 down (11:31 PDT)',
      strikes: [
        google('services', ['us-central1']),
        google('control', ['us-central1']),
        cloudflare('services', '5xx'),
      ],
    },
    {
      at: '2025-06-12T20:19:00Z',
      says: 'Cloudflare has recovered',
      strikes: [google('services', ['us-central1']), google('control', ['us-central1'])],
    },
    { at: '2025-06-12T20:31:00Z', says: 'us-central1 is back (13:31 PDT)', strikes: [] },
    { at: '2025-06-13T01:18:00Z', says: 'the end (18:18 PDT)', strikes: [] },
  ],
};

const tencent = (what: Part, regions?: readonly string[]): Strike => ({
  ...{ whose: 'tencent', what, manner: '5xx' },
  ...(regions === undefined ? {} : { regions }),
});

const tencentGone = [tencent('services'), tencent('control'), tencent('api')];
const shanghaiGone = [tencent('services', ['ap-shanghai']), tencent('control')];

const tencent2024: Outage = {
  id: 'tencent-2024-04-08',
  title: 'Tencent Cloud: the API of every region, and what needs it',
  whose: 'tencent',
  failed:
    'A release wrote wrong configuration data, which spread to all regions at once: the cloud API ' +
    'and the console failed, and with them what is offered by that API (functions, captcha, text ' +
    'recognition); object storage wavered. 1,957 customers reported it.',
  worked: 'Machines and what ran on them; services that do not go by the cloud API.',
  lesson:
    'The roll-back needed the very API that had failed. What is needed to get out must not lean on ' +
    'what it is to replace: neither at a cloud, nor here.',
  sources: [
    'the official review of 2024-04-14 (at s-sound.net, cn.wa01.com; in English at besthub.dev)',
    'theregister.com 2024-04-17',
    'blog.vonng.com/en/cloud/qcloud',
  ],
  assumed: [
    "DNSPod's API, which is one of the cloud API, failed with it and came back at 16:05 CST",
    'DNSPod went on answering queries: the review speaks of the control plane alone',
    'a `service` check asks what failed wholly; by how much object storage wavered is not said',
    'until 16:05 CST no region is back, from then on all but ap-shanghai; the console at 16:50',
  ],
  phases: [
    {
      at: '2024-04-08T07:23:00Z',
      says: 'the cloud API fails in every region; nobody can log in to the console (15:23 CST)',
      strikes: tencentGone,
    },
    {
      at: '2024-04-08T07:47:00Z',
      says: 'rolling the release back has not brought it back (15:47 CST)',
      strikes: tencentGone,
    },
    {
      at: '2024-04-08T07:57:00Z',
      says: 'the cause is known: wrong configuration data; it is repaired from 16:02 CST on',
      strikes: tencentGone,
    },
    {
      at: '2024-04-08T08:05:00Z',
      says: 'every region but Shanghai is back; there the API needs itself to start (16:05 CST)',
      strikes: shanghaiGone,
    },
    {
      at: '2024-04-08T08:45:00Z',
      says: 'Shanghai is back, by way of other regions; the console is overrun (16:45 CST)',
      strikes: [tencent('control')],
    },
    { at: '2024-04-08T08:50:00Z', says: 'the console is back (16:50 CST)', strikes: [] },
  ],
};

const dynSilent: readonly Strike[] = [{ whose: 'dyn', what: 'authority', manner: 'hang' }];

const dyn2016: Outage = {
  id: 'dyn-2016-10-21',
  title: 'Dyn: authoritative DNS under the Mirai botnet',
  whose: 'dyn',
  failed: 'The authoritative name servers, under attack in three waves.',
  worked: 'Every origin behind those names.',
  lesson:
    'One authoritative vendor is a single point of failure, and no change of a record there ' +
    'cures it.',
  sources: [
    "docslib copy of Dyn's statement",
    'dincloud.com',
    'traztechnology.com',
    'Radware, one year later',
  ],
  assumed: [
    'in a wave no server answers at all',
    'the second wave ends at 17:00; the third, mostly mitigated, is not felt',
    'the API could be used',
  ],
  phases: [
    { at: '2016-10-21T11:10:00Z', says: 'first wave: no answers', strikes: dynSilent },
    { at: '2016-10-21T13:20:00Z', says: 'the first wave is over', strikes: [] },
    { at: '2016-10-21T15:50:00Z', says: 'second wave', strikes: dynSilent },
    { at: '2016-10-21T17:00:00Z', says: 'the second wave is over', strikes: [] },
    { at: '2016-10-21T20:00:00Z', says: 'third wave, mostly mitigated', strikes: [] },
    { at: '2016-10-21T22:11:00Z', says: 'resolved', strikes: [] },
  ],
};

const azureDark: readonly Strike[] = [
  { whose: 'azure', what: 'authority', manner: 'hang' },
  { whose: 'azure', what: 'machines', manner: 'servfail' },
  { whose: 'azure', what: 'services', manner: 'servfail' },
  { whose: 'azure', what: 'control', manner: 'servfail' },
];

const azure2021: Outage = {
  id: 'azure-dns-2021-04-01',
  title: 'Azure DNS: a surge of queries',
  whose: 'azure',
  failed: 'Authoritative DNS of Azure, and every service that is found by it.',
  worked: 'Machines that were found by other names.',
  lesson:
    'Shorter than most detection and caches: a move with a long TTL helps late and costs as much ' +
    'again on the way back.',
  sources: ['Microsoft RCA on the outages mailing list (puck.nether.net 013557)', 'zdnet'],
  assumed: ['no query is answered from 21:21 to 22:00, and what you have in Azure is found by it'],
  phases: [
    { at: '2021-04-01T21:21:00Z', says: 'names of Azure do not resolve', strikes: azureDark },
    { at: '2021-04-01T22:00:00Z', says: 'Azure DNS answers again', strikes: [] },
    { at: '2021-04-01T22:30:00Z', says: 'most services have recovered', strikes: [] },
  ],
};

const edgeDark: readonly Strike[] = [
  { whose: 'akamai', what: 'machines', manner: 'servfail' },
  { whose: 'akamai', what: 'services', manner: 'servfail' },
];

const akamai2021: Outage = {
  id: 'akamai-2021-07-22',
  title: 'Akamai Edge DNS: SERVFAIL for akamaiedge.net',
  whose: 'akamai',
  failed:
    'A malformed configuration was refused and a minimal one taken instead: names below ' +
    'akamaiedge.net answered SERVFAIL.',
  worked: 'The origins behind the CDN, reached by other names.',
  lesson:
    "A target inside a CDN can fail in DNS alone: a target's whole chain must resolve before " +
    'it is ' +
    'taken. Keep the last good configuration.',
  sources: ['Akamai statement (republicworld.com)', 'NANOG 2021-July/214358, which quotes the RCA'],
  assumed: ['every name answers SERVFAIL for 60 minutes'],
  phases: [
    { at: '2021-07-22T15:46:00Z', says: 'names of the edge answer SERVFAIL', strikes: edgeDark },
    { at: '2021-07-22T16:46:00Z', says: 'rolled back', strikes: [] },
  ],
};

const resolverGone = [cloudflare('resolver', 'hang')];

const resolver2025: Outage = {
  id: '1.1.1.1-2025-07-14',
  title: 'Cloudflare 1.1.1.1: routes of the public resolver withdrawn',
  whose: 'cloudflare',
  failed: 'A dormant configuration withdrew the routes of the public resolver, worldwide.',
  worked: 'Authoritative DNS and everything else; DNS over HTTPS mostly.',
  lesson:
    'Who watches by one public resolver sees the whole world fail. A path that cannot resolve is ' +
    'blind: it has no vote.',
  sources: ['thousandeyes.com', 'financefoggle.com', 'sysdesign-wiki, copy of the post-mortem'],
  assumed: ['between 22:20 (77 % back) and 22:54 a quarter of the questions goes unanswered'],
  phases: [
    { at: '2025-07-14T21:52:00Z', says: '1.1.1.1 cannot be reached', strikes: resolverGone },
    {
      at: '2025-07-14T22:20:00Z',
      says: 'reverted: 77 % are back',
      strikes: [{ ...cloudflare('resolver', 'hang'), share: 0.23 }],
    },
    { at: '2025-07-14T22:54:00Z', says: 'all is back', strikes: [] },
  ],
};

/** The best known first. */
export const outages: readonly Outage[] = [
  alibaba2023,
  aws2025,
  cloudflare2025,
  facebook2021,
  alibabaHongKong2022,
  aliyuncs2025,
  cloudflare2023,
  google2025,
  tencent2024,
  dyn2016,
  azure2021,
  akamai2021,
  resolver2025,
];

/** From the first strike to the end of the last one, and the last phase; wall-clock milliseconds. */
export function spanOf({ phases }: Outage): { beganAt: number; calmAt: number; endedAt: number } {
  const at = (i: number) => Date.parse(phases[i]!.at);
  const first = phases.findIndex((p) => p.strikes.length > 0);
  const last = phases.findLastIndex((p) => p.strikes.length > 0);
  return { beganAt: at(first), calmAt: at(last + 1), endedAt: at(phases.length - 1) };
}

/** The outage of that name, or of the only name that begins so; else which names come closest. */
export function findOutage(
  word: string,
): { readonly outage: Outage } | { readonly closest: readonly string[]; readonly many: boolean } {
  const wanted = word.toLowerCase();
  const exact = outages.find((o) => o.id === wanted);
  if (exact !== undefined) return { outage: exact };
  const begun = outages.filter((o) => o.id.startsWith(wanted));
  if (begun.length === 1) return { outage: begun[0]! };
  if (begun.length > 1) return { closest: begun.map((o) => o.id), many: true };
  const ranked = outages
    .map(({ id }) => ({ id, far: Math.min(distance(wanted, id), distance(wanted, headOf(id))) }))
    .toSorted((a, b) => a.far - b.far);
  return { closest: ranked.slice(0, 3).map(({ id }) => id), many: false };
}

/** `alibaba` of `alibaba-2023-11-12`. */
function headOf(id: string): string {
  return id.replace(/-\d{4}-.*$/, '');
}

/** Edits from one word to another (Levenshtein, 1966). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= Math.min(a.length, 100); i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row.at(-1)!;
}
