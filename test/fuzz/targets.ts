// The one table of targets: one more is one more file and one more line here.

import { config } from './config.ts';
import { control } from './control.ts';
import { dns } from './dns.ts';
import type { Target } from './harness.ts';
import { marker } from './marker.ts';
import { probes } from './probes.ts';
import { vendorApis } from './vendors.ts';

export const targets: readonly Target[] = [dns, vendorApis, config, control, probes, marker];
