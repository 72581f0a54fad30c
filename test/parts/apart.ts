// A web server on a thread of its own, which goes on while the thread of a test stands still. It
// holds its answer back until that thread stands still, and tells when it is written. It must never
// answer sooner, nor outlive the work it is started for.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

/** What one thread tells the other: each is 0 in the memory of both, and then 1. */
const [asked, waiting, written] = [0, 1, 2];
const patienceMs = 30_000;

export interface Apart {
  readonly port: number;
  isAsked(): boolean;
  /** Stands still until the answer is written. */
  awaitAnswer(): void;
}

/** The server answers its one request, or never does. */
export async function withServerApart<T>(
  answers: boolean,
  work: (apart: Apart) => Promise<T>,
): Promise<T> {
  const cells = new Int32Array(new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT));
  const worker = new Worker(new URL(import.meta.url), { workerData: { cells, answers } });
  try {
    const port = await new Promise<number>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    return await work({
      port,
      isAsked: () => Atomics.load(cells, asked) === 1,
      awaitAnswer: () => {
        say(cells, waiting);
        hear(cells, written);
      },
    });
  } finally {
    await worker.terminate();
  }
}

function serve({ cells, answers }: { readonly cells: Int32Array; readonly answers: boolean }) {
  const server = createServer((_, response) => {
    say(cells, asked);
    if (!answers) return;
    hear(cells, waiting);
    response.end('well', () => say(cells, written));
  });
  server.listen(0, '127.0.0.1', () => {
    parentPort!.postMessage((server.address() as AddressInfo).port);
  });
}

function say(cells: Int32Array, what: number): void {
  Atomics.store(cells, what, 1);
  Atomics.notify(cells, what);
}

function hear(cells: Int32Array, what: number): void {
  const end = Atomics.wait(cells, what, 0, patienceMs);
  if (end === 'timed-out') throw new Error('the other thread has said nothing');
}

if (!isMainThread) serve(workerData);
