// A real nginx for the tests: one process on free loopback ports, with servers of the test's own, in a
// folder that goes with it. It never outlives the test that started it.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './bind.ts';

const program = '/usr/sbin/nginx';
const startMs = 20_000;

/** Why it cannot be started here; null when it can. */
export function nginxAbsent(): string | null {
  return existsSync(program) ? null : `${program} is not installed (nginx-light)`;
}

export interface NginxPart {
  readonly ports: readonly number[];
  close(): Promise<void>;
}

/** One server for each of the texts, which stand behind its `listen 127.0.0.1:PORT`. */
export async function startNginx(servers: readonly string[]): Promise<NginxPart> {
  const home = mkdtempSync(join(tmpdir(), 'detour-nginx-'));
  const ports: number[] = [];
  for (const _ of servers) ports.push(await freePort());
  const file = join(home, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${home}/pid; error_log ${home}/error.log;\n` +
      `events {}\nhttp { access_log off; ${temporary.map((one) => `${one}_temp_path ${home};`).join(' ')}\n` +
      servers.map((text, i) => `server { listen 127.0.0.1:${ports[i]} ${text} }\n`).join('') +
      '}\n',
  );
  const args = ['-p', home, '-c', file, '-e', join(home, 'error.log')];
  const child: ChildProcess = spawn(program, args, { stdio: 'ignore' });
  const close = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    rmSync(home, { recursive: true, force: true });
  };
  const limit = performance.now() + startMs;
  for (const port of ports) {
    while (!(await answers(port))) {
      if (child.exitCode !== null || performance.now() > limit) {
        await close();
        throw new Error('nginx does not listen');
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  return { ports, close };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
