// When audits are made: soon after a start or a reload, then hourly, and when somebody asks for one.
// One at a time; the last report is kept, and what it says of the zones goes to whoever `done` is.
// It looks at nothing itself, and must never let an audit end the daemon or outlive it.

import { type AuditFinding, type AuditReport, newlyBad } from '../core/audit.ts';
import type { StatusView } from '../core/view.ts';
import type { Clock, TroubleWord } from '../ports.ts';
import type { Auditor } from './audit.ts';

interface AuditingOptions {
  /** Of the configuration in force. */
  readonly auditor: () => Auditor;
  readonly status: () => Promise<StatusView>;
  readonly clock: Clock;
  /** From 0 to 1, anew each time. */
  readonly chance: () => number;
  /** Told of each report, and of the bad findings that the one before did not have. */
  readonly done: (report: AuditReport, news: readonly AuditFinding[]) => void;
  readonly trouble: (what: TroubleWord, detail: string) => void;
}

interface Auditing {
  /** Begins: the first audit comes in 5 s. */
  start(): void;
  /** The last report, null before the first; and whether an audit is under way. */
  audited(): { readonly running: boolean; readonly report: AuditReport | null };
  /** Audits now, or joins the audit under way; resolves when that one has ended. */
  now(): Promise<void>;
  /** Another configuration is in force: an audit under way is dropped, the next comes in 5 s. */
  renew(): void;
  /** No more audits; one under way is dropped. */
  close(): void;
}

const SOON_MS = 5_000;
const HOUR_MS = 3_600_000;
/** Part of the hour by which an audit may come sooner or later: replicas must not go in step. */
const JITTER = 0.1;

export function createAuditing(options: AuditingOptions): Auditing {
  const { clock } = options;
  let report: AuditReport | null = null;
  let under: { readonly stop: AbortController; readonly ended: Promise<void> } | null = null;
  let cancel = () => {};
  let closed = false;

  function schedule(ms: number): void {
    cancel();
    if (closed) return;
    cancel = clock.after(ms, () => void now());
  }

  async function audit(stop: AbortController): Promise<void> {
    try {
      const status = await options.status();
      if (stop.signal.aborted) return;
      const before = { previous: report, status };
      const made = await options.auditor().audit(stop.signal, before);
      if (stop.signal.aborted) return;
      const news = newlyBad(made, report);
      report = made;
      options.done(made, news);
    } catch (error) {
      options.trouble('audit', error instanceof Error ? error.message : String(error));
    }
  }

  function now(): Promise<void> {
    if (closed) return Promise.resolve();
    if (under !== null) return under.ended;
    const stop = new AbortController();
    const ended = audit(stop).finally(() => {
      if (under?.stop !== stop) return;
      under = null;
      schedule(Math.round(HOUR_MS * (1 - JITTER + 2 * JITTER * options.chance())));
    });
    under = { stop, ended };
    return ended;
  }

  function drop(): void {
    under?.stop.abort();
    under = null;
  }

  return {
    start: () => schedule(SOON_MS),
    audited: () => ({ running: under !== null, report }),
    now,
    renew() {
      drop();
      schedule(SOON_MS);
    },
    close() {
      closed = true;
      cancel();
      drop();
    },
  };
}
