// A notice as channels tell it, for tests of them: a page about one record, and what a test changes.

import type { Told } from '../../src/kit/extend.ts';

export function toldOf(more: Partial<Told> = {}): Told {
  const key = more.key ?? 'stay/www.gslb.example.net./no-target-up';
  return {
    kind: 'needs-person',
    key,
    state: 'open',
    severity: 'page',
    record: 'www.gslb.example.net.',
    sentence: 'www.gslb.example.net.: hangzhou is down and no other target is up ("tokyo" & <b>)',
    data: { reason: 'no-target-up' },
    id: 'msg_1',
    dedup: `shop/${key}`,
    cluster: 'shop',
    time: '2026-01-02T03:04:05.000Z',
    since: '2026-01-02T03:04:05.000Z',
    explain: 'detour explain stay/www.gslb.example.net/no-target-up',
    link: null,
    approve: null,
    reject: null,
    ...more,
  };
}
