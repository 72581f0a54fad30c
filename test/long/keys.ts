// Each kind of key through an hour in which the token services are dead, in five ways: what `audit` says
// before, which go on, which stop, and which come back. Prints the table of docs/keys.md; takes some
// twenty seconds, most of it waiting for services that hang. `npm run test:keys`.

import { type Death, holds, type KeyHour, keyHour } from '../parts/key-hour.ts';
import { kinds } from '../parts/key-world.ts';

const deaths: Readonly<Record<Death, string>> = {
  '5xx': 'answers 503',
  reset: 'resets every connection',
  refuse: 'refuses connections',
  hang: 'never answers',
  auth: 'refuses every key',
};

function print(hours: readonly KeyHour[]): void {
  console.log('| kind of key | an audit says before | in the hour | afterwards |');
  console.log('| --- | --- | --- | --- |');
  for (const { kind, before, stoppedMin, isBack } of hours) {
    const went = stoppedMin === null ? 'goes on' : `stops after ${stoppedMin} min`;
    const after = stoppedMin === null ? '' : isBack ? 'comes back' : 'waits for the next token';
    const said = before.sentence
      .replace(/^the key of it \([\w-]+\) /, '')
      .replace(/127\.0\.0\.1 of \w+ \(.*?\)/, 'STS of its cloud');
    console.log(`| ${kind} | ${before.severity}: ${said} | ${went} | ${after} |`);
  }
}

let table = '';
for (const [how, words] of Object.entries(deaths) as [Death, string][]) {
  const hours = await keyHour(kinds, how);
  for (const hour of hours) holds(hour);
  const told = JSON.stringify(
    hours.map(({ kind, stoppedMin, isBack }) => [kind, stoppedMin, isBack]),
  );
  if (table === '') print(hours);
  else if (told !== table) throw new Error(`${how}: another table: ${told}`);
  table = told;
  console.log(`ok: as the table says where a token service ${words} (${how})`);
}
