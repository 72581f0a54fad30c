// A stand-in for the daemon's desk: a plain view that a test changes as it likes, and a list of the
// commands it was given. It decides nothing; what a command does is for the test to say.

import type { AuditReport } from '../../src/core/audit.ts';
import type { Command, DelegationCommand, Reply } from '../../src/core/model.ts';
import type { ApprovalView, ProviderView, RecordView, StatusView } from '../../src/core/view.ts';
import type { Histories, HistoryQuery, StoredEntry } from '../../src/ports.ts';
import type { Desk } from '../../src/serve/desk.ts';

export const wall = Date.UTC(2026, 0, 2, 3, 4, 5);
export const at = 1_000_000_000;

export type Writable<T> = { -readonly [K in keyof T]: T[K] };

export interface StandIn extends Desk {
  view: Writable<StatusView>;
  readonly commands: Command[];
  readonly delegated: DelegationCommand[];
  /** By which id each was given. */
  readonly ids: string[];
  /** What the journals of a group say; null: there is none. */
  group: ((query: HistoryQuery) => Histories) | null;
  readonly queries: unknown[];
  /** Who wants to know when something was journalled. */
  readonly watchers: Set<() => void>;
  reply: (command: Command) => Reply | Promise<Reply>;
  entries: StoredEntry[];
  reloads: number;
  unsureMs: number;
  /** The audit's report, and how an audit that is asked for goes. */
  report: AuditReport | null;
  auditing: () => Promise<void>;
  /** Drills that were asked for, and what comes of them: at once, or when that is looked for. */
  readonly drills: (readonly [kind: string, name: string | null])[];
  drillReply: { begun: Reply | null; end: Reply };
}

export function standIn(): StandIn {
  const desk: StandIn = {
    view: sampleView(),
    commands: [],
    delegated: [],
    ids: [],
    group: null,
    queries: [],
    entries: [],
    reloads: 0,
    unsureMs: 0,
    report: null,
    auditing: async () => {},
    audited: () => ({ running: false, report: desk.report }),
    audit: () => desk.auditing(),
    drills: [],
    watchers: new Set(),
    drillReply: { begun: null, end: { exit: 0, message: 'drilled' } },
    drilled: () => ({ running: false, reply: desk.drillReply.end }),
    async drill(kind, name) {
      desk.drills.push([kind, name]);
      return desk.drillReply.begun;
    },
    spelling: () => desk.view.spelling,
    gate(name) {
      const record = desk.view.records.find((r) => r.name === name);
      if (record === undefined) return null;
      const targets = record.targets.map((t) => t.origin);
      return { target: record.target, targets, unsureMs: desk.unsureMs };
    },
    reply: (command) => ({ exit: 0, message: `done: ${command.kind}` }),
    status: async () => desk.view,
    watch: (changed) => {
      desk.watchers.add(changed);
      return () => void desk.watchers.delete(changed);
    },
    strips: () => ({ at, wall, stepMs: 5000, strips: [] }),
    ready: () => desk.view.ready,
    async delegate(command, id) {
      desk.delegated.push(command);
      desk.ids.push(id);
      return { exit: 0, message: `${command.provider} is out` };
    },
    async command(command, id) {
      desk.commands.push(command);
      desk.ids.push(id);
      return desk.reply(command);
    },
    history(query) {
      desk.queries.push(query);
      const { before = Number.POSITIVE_INFINITY, limit } = query;
      return desk.entries.filter(({ seq }) => seq < before).slice(0, limit);
    },
    histories: (query) => (desk.group === null ? null : Promise.resolve(desk.group(query))),
    async reload(how) {
      if (how?.dryRun === true) return { exit: 3, message: 'it would change\nat restart: socket' };
      desk.reloads += 1;
      return { exit: 2, message: 'detour.yaml:3:1: expected a mapping\nwhat was in force stays' };
    },
  };
  return desk;
}

export function provider(name: string, more: Partial<ProviderView> = {}): ProviderView {
  return {
    provider: name,
    stage: 'visible',
    cname: 'hz.shop.example.',
    ttl: 60,
    epoch: 7,
    seenAt: at - 3000,
    seenBy: 'dns',
    serversRight: 4,
    serversAsked: 4,
    writtenAfterMs: 312,
    visibleAfterMs: 1240,
    share: 0.5,
    problem: null,
    ...more,
  };
}

export function record(more: Partial<RecordView> = {}): RecordView {
  return {
    name: 'www.gslb.example.net.',
    names: ['www.shop.example.'],
    mode: 'steer',
    target: 'hangzhou',
    cname: 'hz.shop.example.',
    retired: false,
    epoch: 7,
    switchId: '00112233aabbccdd',
    switchKind: 'auto',
    decidedAt: at - 11_520_000,
    switching: false,
    pin: null,
    prepared: null,
    freeze: null,
    drill: null,
    lastDrill: null,
    maintenance: null,
    stay: { reason: 'target-up', sentence: 'hangzhou is up and preferred' },
    earliestBenefitAt: null,
    targets: [
      {
        origin: 'hangzhou',
        cname: 'hz.shop.example.',
        health: 'up',
        drained: false,
        sinceAt: at - 7_500_000,
        flaw: null,
        carriedAt: null,
      },
      {
        origin: 'tokyo',
        cname: 'nrt.shop.example.',
        health: 'up',
        drained: true,
        sinceAt: at - 95_000,
        flaw: null,
        carriedAt: at - 900_000,
      },
    ],
    leftBehind: null,
    cachesExpiredAt: null,
    patience: { ms: 10_000, why: null, configuredMs: 10_000, boundMs: 60_000 },
    budget: { used: 1, limit: 3, spent: false },
    needless: 0,
    objectiveMs: null,
    predicted: null,
    approval: null,
    providers: [
      provider('cf'),
      provider('r53', {
        stage: 'lagging',
        cname: 'nrt.shop.example.',
        epoch: 6,
        serversRight: 0,
        writtenAfterMs: null,
        visibleAfterMs: null,
        problem: 'stuck for 5 minutes: the API answers 503; nothing to do but wait, or move the NS',
      }),
    ],
    ...more,
  };
}

/** A decision that waits for a person. */
export function waiting(more: Partial<ApprovalView> = {}): ApprovalView {
  return {
    id: '9f2c41d0aa17be03',
    from: 'hangzhou',
    to: 'tokyo',
    why: 'target-down',
    sentence: 'hangzhou -> tokyo: hangzhou is down',
    votes: 'hangzhou/web by line-a down: 3 failed in a row (timeout)',
    alternatives: [
      { origin: 'hangzhou', why: 'in force: down' },
      { origin: 'tokyo', why: 'chosen' },
    ],
    sinceAt: at - 48_000,
    expiresAt: at + 852_000,
    goesAt: null,
    ...more,
  };
}

export function sampleView(): StatusView {
  const check = {
    fails: 0,
    passes: 9,
    sinceAt: at - 7_500_000,
    advisory: false,
    everFailed: true,
  };
  const pass = {
    outcome: 'pass',
    startedAt: at - 1000,
    endedAt: at - 960,
    reason: 'ok',
    detail: 'status 200',
    phases: {},
    certificateDays: 40,
  } as const;
  const usual = { perSecond: 0.4, detectionMs: 4000, usualMs: 4000, limited: null };
  return {
    cluster: 'shop',
    version: '0.1.0',
    at,
    wall,
    ready: { ok: true, reasons: [] },
    freeze: null,
    next: { at: at + 250, wake: { kind: 'probe', check: 'hangzhou/web@direct' } },
    group: null,
    drains: [
      { what: 'tokyo', reason: 'kernel update', by: 'ann', sinceAt: at - 720_000, untilAt: null },
    ],
    notices: [],
    drills: { last: [], scheduled: [], overdue: [] },
    audit: null,
    records: [record()],
    origins: [
      {
        name: 'hangzhou',
        cloud: 'aliyun',
        region: 'cn-hangzhou',
        health: 'up',
        sinceAt: at - 7_500_000,
        drained: false,
        maintenance: null,
        trustedAt: null,
        rate: usual,
        checks: [
          { ...check, id: 'hangzhou/web', path: 'line-a', verdict: 'up', last: pass },
          {
            ...check,
            id: 'hangzhou/web',
            path: 'line-b',
            verdict: 'down',
            last: {
              ...pass,
              outcome: 'fail',
              reason: 'timeout',
              detail: 'no answer within 2 s',
              certificateDays: 39,
            },
          },
        ],
      },
      {
        name: 'tokyo',
        cloud: 'aws',
        region: null,
        health: 'up',
        sinceAt: at - 95_000,
        drained: true,
        maintenance: null,
        trustedAt: at + 60_000,
        rate: usual,
        checks: [{ ...check, id: 'tokyo/web', path: 'line-a', verdict: 'up', last: null }],
      },
    ],
    clouds: [
      {
        name: 'aliyun',
        diagnosis: 'healthy',
        sentence: 'aliyun: 1 of 1 origins answer',
        sinceAt: at - 7_500_000,
        services: [],
      },
    ],
    paths: ['line-a', 'line-b'].map((name) => ({
      name,
      group: name,
      cloud: null,
      state: 'sighted' as const,
      loss: 0.01,
    })),
    lanes: [
      {
        provider: 'cf',
        type: 'cloudflare',
        state: 'ok',
        sinceAt: at - 86_400_000,
        detail: null,
        retryAt: null,
        pending: 0,
        zones: [],
      },
      {
        provider: 'r53',
        type: 'route53',
        state: 'stuck',
        sinceAt: at - 300_000,
        detail: 'status 503 from the API',
        retryAt: at + 2500,
        pending: 1,
        zones: [],
      },
    ],
    reload: null,
  };
}
