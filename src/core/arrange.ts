// Brings the state in line with a configuration, at a start and at a reload: origins, clouds, lanes,
// records and their cells. What goes on under the same name keeps what is known of it.

import { agree } from './agree.ts';
import { newCell, relined, retimed } from './cell.ts';
import { arrangeEyes } from './heard.ts';
import { judgeAnew } from './judge.ts';
import { newLane, renewLane } from './lane.ts';
import { isSameLines } from './lines.ts';
import type { RecordConfig } from './model.ts';
import { closeGone } from './notices.ts';
import { forgetAbsences } from './patience.ts';
import { asksTheSame } from './standby.ts';
import { amend, follows, keep, type RecordState, type State, type Step } from './state.ts';
import { newDoc, readAll } from './steer.ts';
import { startLanes } from './switch.ts';
import { clearDeadline, deadline } from './timers.ts';
import { watchChecks } from './watched.ts';
import { letGo } from './zone.ts';

/** Brings origins, lanes, records and checks in line with the configuration. */
export function arrange(state: State, out: Step): void {
  const { config } = state;
  for (const [name, lane] of Object.entries(config.lanes)) {
    const known = state.lanes.get(name);
    if (known === undefined) state.lanes.set(name, newLane(name, lane, state.now));
    else renewLane(state, known);
  }
  arrangeClouds(state);
  arrangeOrigins(state);
  forgetAbsences(state, out);
  arrangeEyes(state);
  watchChecks(state);
  const fresh: RecordState[] = [];
  for (const record of Object.values(config.records)) {
    if (arrangeRecord(state, record, out)) fresh.push(state.records.get(record.name)!);
    for (const t of record.targets) state.origins.get(t.origin)?.records.add(record.name);
  }
  judgeAnew(state, out);
  agree(state, out);
  for (const [place, r] of fresh.entries()) {
    readAll(state, r, place);
    if (r.doc.marker !== null && r.doc.endedAt === null) startLanes(state, r);
  }
  for (const [name, gone] of state.lanes) {
    if (name in config.lanes) continue;
    state.lanes.delete(name);
    clearDeadline(state.timers, gone.deadline);
  }
  closeGone(state, out);
}

function arrangeOrigins(state: State): void {
  for (const [name, gone] of state.origins) {
    if (name in state.config.origins) continue;
    state.origins.delete(name);
    clearDeadline(state.timers, gone.deadline);
  }
  for (const origin of Object.values(state.config.origins)) {
    const old = state.origins.get(origin.name);
    state.origins.set(origin.name, {
      name: origin.name,
      region: origin.region,
      cloud: state.clouds.get(origin.cloud) ?? null,
      health: old?.health ?? 'unknown',
      sinceAt: old?.sinceAt ?? state.now,
      why: old?.why ?? '',
      downSinceAt: old?.downSinceAt ?? null,
      failingSinceAt: old?.failingSinceAt ?? null,
      settleFromAt: old?.settleFromAt ?? state.now,
      checks: origin.checks,
      own: [],
      required: [],
      records: new Set(),
      waiting: null,
      leaving: null,
      settleMs: null,
      words: null,
      flaps: old?.flaps ?? [],
      trustedAt: old?.trustedAt ?? 0,
      deadline: old?.deadline ?? deadline({ kind: 'choose', origin: origin.name }),
    });
  }
  state.needing.clear();
  for (const origin of Object.values(state.config.origins)) {
    for (const id of origin.needs) {
      state.needing.set(id, [...(state.needing.get(id) ?? []), origin.name]);
    }
  }
}

function arrangeClouds(state: State): void {
  const old = new Map(state.clouds);
  state.clouds.clear();
  for (const name of Object.keys(state.config.clouds)) {
    const origins = Object.values(state.config.origins).filter((o) => o.cloud === name);
    const unknown = {
      word: 'healthy' as const,
      sentence: `${name}: nothing known yet`,
      regions: [],
    };
    state.clouds.set(name, {
      name,
      origins: origins.map((o) => o.name),
      diagnosis: old.get(name)?.diagnosis ?? unknown,
      sinceAt: old.get(name)?.sinceAt ?? state.now,
      deadline: old.get(name)?.deadline ?? deadline({ kind: 'diagnose', cloud: name }),
    });
    old.delete(name);
  }
  for (const gone of old.values()) clearDeadline(state.timers, gone.deadline);
}

/** True when the record has providers that must be read before anything is decided. */
function arrangeRecord(state: State, config: RecordConfig, out: Step): boolean {
  let r = state.records.get(config.name);
  if (r === undefined) {
    const stored = state.asleep.get(config.name);
    state.asleep.delete(config.name);
    r = {
      name: config.name,
      config,
      origins: [],
      doc: { ...newDoc(), epochMax: state.released.get(config.name) ?? 0, ...stored },
      prior: null,
      stay: { reason: 'reading', sentence: 'not every provider has been read yet' },
      differs: null,
      choosing: null,
      unresolved: new Map(),
      standbys: new Map(),
      dark: false,
      dawnUntilAt: 0,
      cells: new Map(),
      unsureSinceAt: state.now,
      told: null,
      noted: null,
      promised: null,
      helps: null,
      foretold: null,
      asked: null,
      deadlines: {
        readDns: deadline({ kind: 'read-dns', record: config.name }),
        review: deadline({ kind: 'review', record: config.name }),
        endSwitch: deadline({ kind: 'end-switch', record: config.name }),
        drill: deadline({ kind: 'review', record: config.name }),
        turn: deadline({ kind: 'review', record: config.name }),
      },
    };
    state.records.set(config.name, r);
  }
  const observed = r.config.mode === 'observe';
  const turned = observed !== (config.mode === 'observe');
  if (!asksTheSame(r.config, config)) r.standbys.clear();
  r.config = config;
  forgetImagined(state, r, observed, out);
  r.origins = config.targets.map((t) => state.origins.get(t.origin)!);
  const wanted = new Set(config.publish.map((p) => p.provider));
  let added = turned;
  for (const place of config.publish) {
    const { provider, ttl, lines } = place;
    const cell = r.cells.get(provider);
    if (cell !== undefined) {
      if (cell.ttl !== ttl) retimed(state, r, cell, ttl, out);
      if (!isSameLines(cell.lines, lines)) relined(state, r, cell, lines);
    } else {
      r.cells.set(provider, newCell(config.name, place));
      added = true;
    }
  }
  for (const [provider, gone] of r.cells) {
    if (wanted.has(provider)) continue;
    r.cells.delete(provider);
    letGo(state, r.name, gone);
  }
  if (turned && !follows(state)) keep(out, r);
  return added;
}

/** From observing to steering nothing of what was only imagined may be written. */
export function forgetImagined(state: State, r: RecordState, observed: boolean, out: Step): void {
  const imagined = r.doc.target !== null && r.doc.marker === null;
  if (r.config.mode === 'observe' || !(observed || imagined) || follows(state)) return;
  amend(out, r, { ...newDoc(), epochMax: r.doc.epochMax, freeze: r.doc.freeze });
}
