// One replica of a group over a Kubernetes API as a process of its own, so that it can be stopped
// as a process: a coordinator on the real clocks, which commits as long as it may act. It says on
// its output, a line of JSON each, what it was told, each moment at which it may act, and each
// commit. SIGTERM ends it as it ends a daemon. It never acts on anything: it only says that it
// would.

import { randomUUID } from 'node:crypto';
import { createKubeApi, type KubeAccount } from '../../src/cluster/kube-api.ts';
import { createKubernetesCoordinator } from '../../src/cluster/kubernetes.ts';
import { createSeal } from '../../src/cluster/sealed.ts';
import { createClock } from '../../src/run/clock.ts';
import { createElapsed } from '../../src/run/elapsed.ts';
import { batch, KEY, LEASE, SCOPE, SECRET } from './kube-suite.ts';

interface Orders {
  readonly name: string;
  readonly account: KubeAccount;
  readonly ttlMs: number;
}

const LOOK_MS = 5;
const COMMIT_MS = 50;
const { name, account, ttlMs } = JSON.parse(process.argv[2]!) as Orders;
const clock = createClock(0);
/** The wall clock in fractions of a millisecond: the same for all processes of this machine. */
const now = () => performance.timeOrigin + performance.now();
const say = (what: object) => process.stdout.write(`${JSON.stringify({ at: now(), ...what })}\n`);

const coordinator = createKubernetesCoordinator({
  api: createKubeApi(account, clock),
  clock,
  elapsed: createElapsed(),
  replica: name,
  lease: LEASE,
  documents: { kind: 'secret', name: SECRET },
  ttlMs,
  seal: () => createSeal([KEY], SCOPE),
  memory: { load: () => null, save: () => {} },
  id: () => randomUUID(),
  trouble: (sentence) => say({ trouble: sentence }),
});

let count = 0;
let isActing = false;
coordinator.start((event) => {
  if (event.kind === 'documents') {
    const found = event.docs.find(([key]) => key === 'epoch/count.')?.[1];
    if (typeof found === 'number') count = found;
  } else say({ event });
});

setInterval(() => {
  // Asked again right before it is said: what was true before a stop is not said after it.
  const may = coordinator.actsUntil() > clock.now();
  if (may || isActing) say({ acts: may });
  isActing = may;
}, LOOK_MS);

const goOn = async () => {
  if (coordinator.actsUntil() > clock.now()) {
    const next = count + 1;
    const { kind } = await coordinator.shared!.commit(batch({ 'epoch/count.': next }));
    if (kind === 'committed') count = next;
    say({ commit: next, kind });
  }
  setTimeout(() => void goOn(), COMMIT_MS);
};
void goOn();

process.on('SIGTERM', () => {
  void coordinator.yield().then(() => {
    coordinator.close();
    say({ ended: true });
    process.exit(0);
  });
});
