#!/usr/bin/env node
// What `detour` starts. It says in one sentence that a Node is too old, where the program itself
// would end with a stack trace. Every Node must be able to read it: no syntax younger than import().

'use strict';

// Before all else: no signal kills a daemon that is being loaded, or opens Node's inspector. (An older
// Node does not know its option against that, and would end with another sentence than the one below.)
if (process.argv[2] === 'run') for (const name of ['SIGHUP', 'SIGUSR1']) process.on(name, () => {});

const wanted = require('../package.json').engines.node.slice(2);

const order = (version) => version.split('.').reduce((sum, part) => sum * 1000 + Number(part), 0);

if (order(process.versions.node) < order(wanted)) {
  const [node, version] = [process.execPath, process.versions.node];
  console.error(
    `detour: Node ${wanted} or newer is needed, and ${node} is ${version}: install Node 24 (nodejs.org)`,
  );
  process.exitCode = 1;
} else {
  require('../dist/program/main.cjs');
}
