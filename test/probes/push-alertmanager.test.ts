// A real Alertmanager tells a `push` check by the door for readers: what it sends is what is read.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPushDoor, push } from '../../src/probes/push.ts';
import { serveHttp } from '../../src/serve/http.ts';
import { Readers } from '../../src/serve/readers.ts';
import { Text } from '../../src/serve/text.ts';
import { standIn } from '../cli/desk.ts';
import { alertmanagerAbsent, startAlertmanager } from '../parts/alertmanager.ts';
import { until } from '../parts/listening.ts';

const absent = alertmanagerAbsent();
const token = 'token-of-the-alertmanager';

test('a real Alertmanager: an alert that fires is a failure, and one that is resolved is over', {
  skip: absent !== null && !process.env['CI'] ? absent : false,
}, async () => {
  const settings = push.settings.parse({
    ...{ push: 'am', format: 'alertmanager', token: { env: 'T' }, labels: { origin: 'hz' } },
    expires: '1m',
  });
  const door = openPushDoor(new Map([['am', { settings, token: () => token }]]));
  const served = await serveHttp({
    ...{ host: '127.0.0.1', port: 0, desk: standIn(), gateHoldMs: 1000, trouble: assert.fail },
    metrics: { text: async () => new Text([]) },
    ...{ readers: new Readers(), askers: new Readers(), pushes: { ...door, bytesMost: 262_144 } },
  });
  const hook = `http://127.0.0.1:${served.port}/push/am`;
  const part = await startAlertmanager(hook, token);
  const path = { name: 'line', kind: 'direct', resolver: null, localAddress: null } as const;
  const check = push.create(settings, path, 1000, { secret: () => token });
  const says = async () => {
    const { outcome, detail } = await check.ask(new AbortController().signal);
    return `${outcome} ${detail}`;
  };
  const tell = async (labels: Record<string, string>, endsAt?: Date) => {
    const alert = { labels, annotations: { summary: 'half of all fail' }, endsAt };
    const { status } = await fetch(`${part.url}/api/v2/alerts`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify([alert]),
    });
    assert.equal(status, 200);
  };
  try {
    assert.match(await says(), /^blind nothing was pushed/);
    await tell({ alertname: 'Watchdog' });
    await until(async () => /^blind am lives/.test(await says()), 'it lives', 20_000);
    await tell({ alertname: 'Down', origin: 'hz' });
    await until(async () => /^fail Down: half of all/.test(await says()), 'it fires', 20_000);
    await tell({ alertname: 'Down', origin: 'hz' }, new Date(Date.now() - 1000));
    await until(async () => /^blind am lives/.test(await says()), 'it is resolved', 20_000);
  } finally {
    await part.close();
    await served.close();
    openPushDoor(new Map());
  }
});
