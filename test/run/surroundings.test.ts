// What Detour needs, as it is read out of a configuration: hosts and files, and never a secret.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseConfig } from '../../src/config/config.ts';
import { tables } from '../../src/run/build.ts';
import { stateNeeds, surroundingsOf } from '../../src/run/surroundings.ts';

function around(name: string, replica: string | null) {
  const path = fileURLToPath(new URL(`../../deploy/${name}`, import.meta.url));
  const named = replica === null ? null : { name: replica, by: '--replica' };
  const parsed = parseConfig(readFileSync(path, 'utf8'), name, tables, named);
  assert.ok(parsed.ok, name);
  const { config } = parsed;
  return { config, ...surroundingsOf(config, Object.keys(config.providers)) };
}

test('of the example: ways out, vendors’ APIs with their operators, addresses of the origins', () => {
  const { needs, operators, clouds, config } = around('example.yaml', null);
  const hosts = (kind: string) => needs.flatMap((n) => (n.kind === kind ? [n.host] : []));
  assert.ok(hosts('provider').includes('api.cloudflare.com'), JSON.stringify(needs, null, 1));
  assert.ok(hosts('provider').includes('route53.amazonaws.com'));
  assert.deepEqual(
    [operators['cf'], operators['own'], operators['pdns']],
    ['cloudflare', null, null],
  );
  assert.deepEqual(Object.keys(clouds).sort(), Object.keys(config.core.origins).sort());
  assert.ok(hosts('path').length === Object.keys(config.paths).length);
  assert.ok(
    needs.every((n) => n.host === null || !/[/@?]/.test(n.host)),
    'hosts and no more',
  );
});

test('of a group: members by majority, replicas with their clouds, the certificates they show', () => {
  const { needs, endings } = around('group.yaml', 'hz-1');
  const members = needs.filter((n) => n.kind === 'etcd');
  assert.ok(members.length >= 3 && members.every((n) => n.enough === 'majority'));
  assert.equal(members.find((n) => n.host === 'hz-1.example')?.cloud, 'aliyun', 'as its replica');
  const replicas = needs.filter((n) => n.kind === 'replica');
  assert.ok(replicas.length >= 3 && replicas.some((n) => n.cloud !== null));
  assert.ok(replicas.every((n) => n.enough === 'one' && n.isAllowedFor === true));
  const [first] = endings;
  assert.ok(first !== undefined && 'why' in first.read(), 'a file that is not here is not known');
});

test('a state directory on another machine is a need, and on a disk of its own it is none', () => {
  const line = (at: string, type: string, source: string) =>
    `36 1 0:1 / ${at} rw - ${type} ${source} rw`;
  const disk = line('/', 'ext4', '/dev/sda1');
  assert.deepEqual(stateNeeds('/var/lib/detour', disk), []);
  const nfs = [disk, line('/var/lib', 'nfs4', 'nas.shop.test:/export')].join('\n');
  assert.equal(stateNeeds('/var/lib/detour', nfs)[0]?.host, 'nas.shop.test');
  assert.deepEqual(stateNeeds('/var/library', nfs), []);
  const bucket = [disk, line('/var/lib/detour', 'fuse.ossfs', 'ossfs')].join('\n');
  assert.match(stateNeeds('/var/lib/detour', bucket)[0]?.host ?? '', /aliyuncs\.com$/);
  assert.deepEqual(stateNeeds('/var/lib/detour', null), []);
});
