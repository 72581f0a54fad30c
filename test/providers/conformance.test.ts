// The accounts that are held to the providers' conformance suite (src/kit/conformance/): the vendors
// of the lab, real servers, and the vendors of both made-up worlds: the simulation's, and the one
// that the scenarios and `simulate` share. What one cannot do is named where the suite skips it.

import { describe } from 'node:test';
import { providerConformance } from '../../src/kit/conformance/index.ts';
import { worldRow } from '../core/account.ts';
import { rows } from '../parts/accounts.ts';
import { simRows } from '../sim/account.ts';

const everyRow = [...rows, ...simRows, worldRow];

describe('every provider', { concurrency: everyRow.length }, () => {
  for (const row of everyRow) providerConformance(row);
});
