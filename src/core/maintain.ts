// Windows of maintenance: of an origin one acts as a drain, of a record as a freeze, for as long as
// it is open. That follows from the configuration and the clock on the wall, which the core does
// not have: the edge says what is open, whole each time. It must never store a window, nor outlast
// what is said.

import type { Name } from './model.ts';
import { type Event, type Maintained, note, type State, type Step } from './state.ts';

type Maintenance = Extract<Event, { kind: 'maintained' }>;

/** Takes over what is open; true where something is another than before. */
export function onMaintained(state: State, event: Maintenance, out: Step): boolean {
  const origins = turn(state.maintained.origins, event.origins, (name, one) => {
    const what = `${name}: maintenance`;
    const data = { what: name, maintenance: one.window };
    if (one.begins) note(out, 'drain', null, `${what} begins, ${one.window}`, data);
    else note(out, 'undrain', null, `${what} is over, ${one.window}`, data);
  });
  const records = turn(state.maintained.records, event.records, (name, one) => {
    const what = `${name}: maintenance`;
    const data = { maintenance: one.window };
    if (one.begins) note(out, 'freeze', name, `${what} begins, ${one.window}`, data);
    else note(out, 'unfreeze', name, `${what} is over, ${one.window}`, data);
  });
  const { soon } = state.maintained;
  const coming = Object.entries(event.soon ?? {});
  const isNews = coming.some(([name, { fromAt }]) => soon.get(name)?.fromAt !== fromAt);
  soon.clear();
  for (const [name, one] of coming) soon.set(name, one);
  return origins || records || isNews;
}

/** Whatever else may be said of it meanwhile. */
export function isInMaintenance(state: State, record: Name): boolean {
  return state.maintained.records.has(record);
}

function turn(
  was: Map<string, Maintained>,
  is: Readonly<Record<string, Maintained>>,
  tell: (name: string, one: { readonly window: string; readonly begins: boolean }) => void,
): boolean {
  let changed = false;
  for (const [name, { window }] of [...was]) {
    if (Object.hasOwn(is, name)) continue;
    was.delete(name);
    tell(name, { window, begins: false });
    changed = true;
  }
  for (const [name, one] of Object.entries(is)) {
    if (!was.has(name)) {
      tell(name, { window: one.window, begins: true });
      changed = true;
    }
    was.set(name, one);
  }
  return changed;
}
