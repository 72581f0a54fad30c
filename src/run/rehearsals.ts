// What goes by the clock on the wall in a running daemon: windows of maintenance, and the schedule
// of drills; and the second engine that a dry drill has. It only puts together: what is due, what
// is open and what a drill is are decided elsewhere.

import { randomBytes, randomInt } from 'node:crypto';
import { createSingleCoordinator } from '../cluster/single.ts';
import type { Config } from '../config/config.ts';
import { type Adapters, Controller } from '../controller.ts';
import type { StatusView } from '../core/view.ts';
import { createDrills, type Drills } from '../drill/drills.ts';
import { createMaintenance } from '../drill/maintenance.ts';
import { createSteadyWall } from '../drill/steady.ts';
import type { Clock, Observer } from '../ports.ts';
import type { Desk, Trouble } from '../serve/desk.ts';

interface RehearsalsOptions {
  readonly config: () => Config;
  readonly adapters: () => Adapters;
  readonly controller: Controller;
  readonly status: () => Promise<StatusView>;
  readonly clock: Clock;
  readonly term: number;
  readonly version: string;
  readonly trouble: Trouble;
  /** It hears with them. */
  readonly observers: Observer[];
}

export interface Rehearsals {
  readonly drills: Drills;
  readonly desk: Pick<Desk, 'drill' | 'drilled'>;
  start(): void;
  /** Another configuration is in force. */
  renew(): void;
  close(): void;
}

export function createRehearsals(options: RehearsalsOptions): Rehearsals {
  const { config, adapters, controller, status, clock, term, version, trouble } = options;
  const wall = createSteadyWall(clock);
  const maintenance = createMaintenance({
    ...{ config, clock, wall },
    tell: (open) => controller.maintained(open),
  });
  const drills = createDrills({
    ...{ config, adapters, controller, status, clock, wall, term },
    id: () => randomBytes(8).toString('hex'),
    engine: (core, second, world) => {
      const coordinator = createSingleCoordinator(1);
      const seed = [0, 0, 0, 0].map(() => randomInt(2 ** 31)) as [number, number, number, number];
      return new Controller(core, second, { ...world, coordinator, seed, version });
    },
    trouble: (detail) => trouble('drill', detail),
  });
  options.observers.push(drills.observer);
  return {
    drills,
    desk: {
      drilled: () => drills.drilled(),
      drill: (kind, name) => drills.begin(kind, name),
    },
    start() {
      maintenance.start();
      drills.start();
    },
    renew() {
      maintenance.renew();
      drills.renew();
    },
    close() {
      maintenance.close();
      drills.close();
    },
  };
}
