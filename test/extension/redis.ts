// A check of somebody else's, as docs/extending.md shows it: that page has this text.

import { connect } from 'node:net';
import { type CheckType, type Extension, type ProbeResult, z } from '../../src/kit/check.ts';

interface Settings {
  readonly host: string;
  readonly port: number;
  readonly want: string;
}

/** What is wrong here, on this machine: no word about the origin. */
const ours = ['EMFILE', 'ENFILE', 'ENETUNREACH', 'EADDRNOTAVAIL'];
const bytesMost = 1024;

const check: CheckType<Settings> = {
  key: 'npm:detour-check-redis',
  settings: z.strictObject({
    host: z.string(),
    port: z.int().min(1).max(65_535).default(6379),
    want: z.string().default('+PONG'),
  }),
  // The same question, wanting an answer that nobody gives: so a drill sees that it can fail.
  impossible: (settings) => ({ ...settings, want: 'what no Redis says' }),
  pathProblem: (path) =>
    path.kind === 'direct' && path.localAddress === null
      ? null
      : 'it leaves by the machine’s own route alone: give it other paths',
  create: ({ host, port, want }, _path, timeoutMs, { lookup }) => ({
    ask: (signal) =>
      new Promise<ProbeResult>((resolve) => {
        const by = lookup === undefined ? {} : { lookup: lookup.lookup };
        const socket = connect({ host, port, timeout: timeoutMs, ...by });
        let text = '';
        const end = (outcome: ProbeResult['outcome'], reason: string, detail: string) => {
          socket.destroy();
          resolve({ outcome, reason, detail, phases: {} });
        };
        signal.addEventListener('abort', () => end('blind', 'ended', 'it was called off'));
        socket.setEncoding('utf8');
        socket.on('connect', () => socket.write('PING\r\n'));
        socket.on('data', (part: string) => {
          text += part;
          if (!text.includes('\n') && text.length < bytesMost) return;
          if (text.startsWith(want)) end('pass', 'ok', text.trim().slice(0, 60));
          else end('fail', 'content', 'it answers, and not as it should');
        });
        socket.on('end', () => end('fail', 'content', 'it ended without an answer'));
        socket.on('timeout', () => end('fail', 'timeout', `nothing within ${timeoutMs} ms`));
        socket.on('error', ({ code = '' }: NodeJS.ErrnoException) =>
          end(ours.includes(code) ? 'blind' : 'fail', 'connect', `not reached: ${code}`),
        );
      }),
    close() {},
  }),
};

export default { contract: 1, check } satisfies Extension;
