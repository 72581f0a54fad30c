// The accounts that are held to the providers' conformance suite (src/kit/conformance/): the vendors
// of the lab, real servers, and the simulation's vendors. What one cannot do is named where the
// suite skips it.

import { describe } from 'node:test';
import { providerConformance } from '../../src/kit/conformance/index.ts';
import { rows } from '../parts/accounts.ts';
import { simRows } from '../sim/account.ts';

const everyRow = [...rows, ...simRows];

describe('every provider', { concurrency: everyRow.length }, () => {
  for (const row of everyRow) providerConformance(row);
});
