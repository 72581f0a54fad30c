// How a change is claimed at a vendor without compare-and-set, by a text at `claimName`: who claims,
// and who has the right to go on where the vendor refuses an identical text. It must never give two
// switches one name, nor two writers the same right, nor take away a text that is not a claim.

import { createHash } from 'node:crypto';
import { claimName, FIRST_ID, formatMarker } from '../../src/core/marker.ts';
import type { Change, Marker, Seen } from '../../src/core/model.ts';
import { type Called, done, failed } from './fault.ts';

export interface Claim {
  readonly epoch: number;
  readonly id: string;
}

export function claimOf(marker: Marker): Claim {
  return { epoch: marker.epoch, id: claimantOf(marker)! };
}

/**
 * Who claims: the switch's own id, so that a retry knows its claim from a rival's. All first
 * markers of a record bear one id, so those are told apart by all that they say. Null for a text
 * that is no marker: nobody claimed with it.
 */
export function claimantOf(marker: Marker | null): string | null {
  if (marker === null) return null;
  if (marker.id !== FIRST_ID) return marker.id;
  return createHash('sha256').update(formatMarker(marker)).digest('hex').slice(0, 32);
}

/** A claim that stands so long was left by a writer that died: longer than any change may take. */
export const abandonedMs = 60_000;
/**
 * The same of one with a higher epoch than ours, whose marker may wait for a whole crowd: longer
 * than 10,000 records of one domain take, a write after the other.
 */
const overtakenMs = 900_000;

/** After so long a rival's claim whose marker never came is over; by the epochs of both. */
export function leftAfterMs(theirs: number, ours: number): number {
  return theirs > ours ? overtakenMs : abandonedMs;
}

// ---------------------------------------------------------------- by a duplicate that is refused

/** A claim that was taken, and whether it did not stand before. */
interface Taken {
  readonly id: string;
  readonly isNew: boolean;
}

/** A text that claims: who made it stands beside it, where no duplicate is told apart by it. */
interface ClaimRow {
  readonly id: string;
  readonly text: string;
  readonly remark: string | null;
}

/** What a vendor does with the texts at `claimName`. */
export interface ClaimsAt {
  /** Makes one; its id, or null where an identical one stands already. */
  make(text: string, remark: string): Promise<Called<string | null>>;
  /** Those that can be seen now. */
  list(): Promise<Called<readonly ClaimRow[]>>;
  /** Takes one away; what cannot be taken now is left for a later write. */
  remove(id: string): Promise<void>;
}

/** Claims of others that are remembered. */
const rivalsMax = 4096;
/** Claims of our own that are. */
const heldMax = 65_536;
/** Claims of what stands no more that one write takes away. */
const sweepMax = 2;

/**
 * The right to change what stands, at a vendor that refuses an identical record: whoever makes the
 * text that names the marker that stands has it, and nobody else. It ends with that marker, and with
 * the text.
 */
export class Claims {
  /** When claims of others were seen first; the monotonic clock, in milliseconds. */
  readonly #rivals = new Map<string, number>();
  /** Our own that stand until a marker follows, by what they claim. */
  readonly #held = new Map<string, string>();

  /**
   * Takes it, or finds that this switch has it already, in which case a CNAME may have been changed
   * under it. A rival's is taken over from one with
   * a lower epoch, which has an answer already, and from one that has died.
   */
  async take(change: Change, at: ClaimsAt): Promise<Called<Taken>> {
    const { name, from } = change;
    const text = textFor(from);
    const { epoch, remark } = claimantIn(change);
    const known = this.#held.get(keyOf(change));
    if (known !== undefined) return done({ id: known, isNew: false });
    const made = await at.make(text, remark);
    if (!made.ok) return made;
    if (made.value !== null) return done({ id: made.value, isNew: true });
    const seen = await at.list();
    if (!seen.ok) return seen;
    const held = seen.value.find((one) => one.text === text);
    if (held?.remark === remark) return done({ id: held.id, isNew: false });
    if (held === undefined) {
      const detail = `${name} was claimed a moment ago, by whom the vendor does not show yet`;
      return failed('record', 'unavailable', detail);
    }
    const cure = `if no other writer lives, delete its text at ${claimName(name)} or wait a minute`;
    const lost = failed('record', 'conflict', `another writer has claimed ${name}`, { cure });
    if (!this.#isOver(held, epoch, from)) return lost;
    await at.remove(held.id);
    const again = await at.make(text, remark);
    if (!again.ok) return again;
    return again.value === null ? lost : done({ id: again.value, isNew: true });
  }

  /** It stands until the marker follows. */
  hold(change: Change, claim: string): void {
    const [oldest] = this.#held.keys();
    if (this.#held.size >= heldMax) this.#held.delete(oldest!);
    this.#held.set(keyOf(change), claim);
  }

  /** It has ended, or whether it stands is to be found out anew. */
  letGo(change: Change): void {
    this.#held.delete(keyOf(change));
  }

  /**
   * Takes away what was claimed of markers that stand no more, by this switch and by those that are
   * behind it. Any other may claim the marker that was written just now, and its own is to follow.
   */
  async sweep(change: Change, at: ClaimsAt): Promise<void> {
    const seen = await at.list();
    const mine = claimantIn(change);
    const past = (seen.ok ? seen.value : []).filter(({ text, remark }) => {
      const isPast = /^after=\w+$/.test(text) && text !== textFor(change.from);
      return isPast && (remark === mine.remark || (epochIn(remark) ?? mine.epoch) < mine.epoch);
    });
    for (const { id } of past.slice(0, sweepMax)) await at.remove(id);
  }

  #isOver(held: ClaimRow, epoch: number, from: Seen): boolean {
    const theirs = epochIn(held.remark);
    if (theirs === null) return false;
    const now = performance.now();
    const seenAt = this.#rivals.get(held.id) ?? now;
    if (this.#rivals.size >= rivalsMax) this.#rivals.clear();
    this.#rivals.set(held.id, seenAt);
    // What a creator has made may not be shown yet: only time tells that it is over.
    const isLeft = now - seenAt > leftAfterMs(theirs, epoch);
    return (from.markers.length > 0 && theirs < epoch) || isLeft;
  }
}

function claimantIn({ to }: Change): { readonly epoch: number; readonly remark: string } {
  const { epoch, id } = claimOf(to.marker);
  return { epoch, remark: `epoch=${epoch} id=${id}` };
}

function keyOf(change: Change): string {
  return `${change.name} ${textFor(change.from)} ${claimantIn(change).remark}`;
}

function epochIn(remark: string | null): number | null {
  const [, epoch] = /^epoch=(\d{1,15}) id=\w{1,64}$/.exec(remark ?? '') ?? [];
  return epoch === undefined ? null : Number(epoch);
}

function textFor({ markers }: Seen): string {
  const [marker] = markers;
  if (marker === undefined) return 'after=none';
  return `after=${createHash('sha256').update(marker).digest('hex').slice(0, 24)}`;
}
