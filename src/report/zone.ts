// Times as people of one zone read them, and where their months begin. Pure: the zone's rules are the
// runtime's (IANA's database, with its summers); nothing here asks for the present.

export interface Zone {
  readonly name: string;
  /** `17:44`, or with seconds. */
  time(wall: number, seconds?: boolean): string;
  /** `2023-11-12`. */
  day(wall: number): string;
  /** `2023-11-12 17:44:03`. */
  stamp(wall: number): string;
  /** `2023-11`. */
  month(wall: number): string;
  /** From the first moment of a month, `YYYY-MM`, to the first of the next; null: it is none. */
  bounds(month: string): { readonly from: number; readonly to: number } | null;
  /** A moment as it was typed: `2023-11-12`, `2023-11-12 17:44`, or with an offset; null: it is none. */
  parse(text: string): number | null;
}

/** Throws RangeError where the runtime does not know the zone. */
export function zoneOf(name: string): Zone {
  const numeric = { month: '2-digit', day: '2-digit', hour: '2-digit' } as const;
  const format = new Intl.DateTimeFormat('en-CA', {
    ...{ timeZone: name, hourCycle: 'h23', calendar: 'gregory', numberingSystem: 'latn' },
    ...{ year: 'numeric', minute: '2-digit', second: '2-digit', ...numeric },
  });
  const partsOf = (wall: number) => {
    const found = format.formatToParts(wall).map(({ type, value }) => [type, value] as const);
    return Object.fromEntries(found) as Readonly<Record<string, string>>;
  };
  const day = (wall: number) => {
    const p = partsOf(wall);
    return `${p['year']}-${p['month']}-${p['day']}`;
  };
  const time = (wall: number, seconds = false) => {
    const p = partsOf(wall);
    return `${p['hour']}:${p['minute']}${seconds ? `:${p['second']}` : ''}`;
  };
  /** What the clock on the wall shows, as if that were UTC. */
  const shown = (wall: number) => Date.parse(`${day(wall)}T${time(wall, true)}Z`);
  /** The moment at which the clock on the wall shows that. */
  const momentOf = (asUtc: number): number => {
    let at = asUtc;
    // Twice: the first guess may lie on the other side of a change of the clocks.
    for (let i = 0; i < 2; i++) at = asUtc - (shown(at) - Math.floor(at / 1000) * 1000);
    return at;
  };
  return {
    name,
    time,
    day,
    stamp: (wall) => `${day(wall)} ${time(wall, true)}`,
    month: (wall) => day(wall).slice(0, 7),
    bounds(month) {
      const [, year, number] = /^(\d{4})-(0[1-9]|1[0-2])$/.exec(month) ?? [];
      if (year === undefined) return null;
      const first = (m: number) => momentOf(Date.UTC(Number(year), m, 1));
      return { from: first(Number(number) - 1), to: first(Number(number)) };
    },
    parse(text) {
      const hasZone = /(?:Z|[+-]\d\d:?\d\d)$/.test(text);
      const [, date, clock = '00:00'] =
        /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?(?:Z|[+-]\d\d:?\d\d)?$/.exec(
          text,
        ) ?? [];
      if (date === undefined) return null;
      const at = Date.parse(hasZone ? text.replace(' ', 'T') : `${date}T${clock}Z`);
      if (Number.isNaN(at)) return null;
      return hasZone ? at : momentOf(at);
    },
  };
}
