// Watching a running daemon from outside, for the long runs: its control socket, what the vendors'
// DNS answers meanwhile, and its journal afterwards. It only looks: nothing here starts or breaks
// anything, and no exchange is without a deadline.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import type { StatusView } from '../../src/core/view.ts';
import { cnameAt } from './program.ts';

export function status(socket: string): Promise<StatusView | null> {
  return call<StatusView>(socket, 'GET', '/v1/status');
}

/** One exchange over the control socket; null when the daemon is not there, or died meanwhile. */
export function call<T>(socketPath: string, method: string, path: string, body?: unknown) {
  return mustCall<T>(socketPath, method, path, body).catch(() => null);
}

/** One exchange over the control socket; rejects with the reason when there is no answer. */
export function mustCall<T>(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
  timeoutMs = 5000,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    // A connection of its own: one kept from before may have been closed by the daemon meanwhile.
    const options = { socketPath, method, path, headers, timeout: timeoutMs, agent: false };
    const asked = request(options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('error', reject);
      response.on('end', () => {
        if (text === '') reject(new Error('an empty answer'));
        else resolve(JSON.parse(text) as T);
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`no answer for ${timeoutMs} ms`)));
    asked.on('error', reject);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** Numbers in [0, 1), the same for the same seed. */
export function seeded(seed: number): () => number {
  let s = seed >>> 0;
  return () => {
    s = (Math.imul(s, 1_664_525) + 1_013_904_223) >>> 0;
    return s / 4_294_967_296;
  };
}

/** Asks every vendor's DNS all the time; an answer that is none of the targets is a failure. */
export function watchAnswers(
  vendors: Readonly<Record<string, { readonly dns: string }>>,
  name: string,
  allowed: readonly string[],
  everyMs = 15,
) {
  const state = { on: true, answers: 0, wrong: null as string | null };
  const loops = Object.entries(vendors).map(async ([vendor, { dns }]) => {
    while (state.on) {
      const value = await cnameAt(dns, name);
      if (value === undefined) continue;
      state.answers++;
      if (!allowed.includes(value ?? '')) {
        state.wrong ??= `${vendor} gave ${value ?? 'nothing'} for ${name}`;
      }
      await pause(everyMs);
    }
  });
  return {
    stop: async () => {
      state.on = false;
      await Promise.all(loops);
      assert.equal(state.wrong, null);
      return state.answers;
    },
  };
}

/** Every number from 1 on, each once. */
export function checkJournal(stateDir: string): number {
  const db = new DatabaseSync(join(stateDir, 'detour.sqlite'), { readOnly: true });
  try {
    const rows = db.prepare('SELECT seq FROM journal ORDER BY seq').all() as { seq: number }[];
    rows.forEach(({ seq }, i) => {
      assert.equal(seq, i + 1, `the journal has a hole before ${seq}`);
    });
    return rows.length;
  } finally {
    db.close();
  }
}
