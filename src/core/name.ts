// How names lie within each other. Names are lower-case with their trailing dot; nothing here looks
// anything up.

import type { Name } from './model.ts';

/** Whether a name is a zone's apex or below it. */
export function isWithin(name: Name, zone: Name): boolean {
  return zone === '.' || name === zone || name.endsWith(`.${zone}`);
}

/** The name itself and everything above it but the root: `a.b.`, `b.` */
export function ancestors(name: Name): Name[] {
  const labels = name.replace(/\.$/, '').split('.');
  return labels.map((_, i) => `${labels.slice(i).join('.')}.`);
}
