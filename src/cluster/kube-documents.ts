// The group's documents in their object, as one replica reads and writes them: whether what stands
// there may be believed (sealed, not older than what was seen, of this Lease), and each change
// compared and set by `resourceVersion`. A head is written only over the very one that it follows,
// so a write of another holding makes every later one of ours impossible; a conflict with anything
// else is sent again. Calls go one at a time. It must never write over a head that it has not read
// and believed, nor take an unknown outcome for a good one.

import type { Clock } from '../ports.ts';
import type { KubeAnswer, KubeApi, KubeObject, KubeWord } from './kube-api.ts';
import { isNewer } from './kube-lease.ts';
import type { Seal } from './sealed.ts';
import {
  type Changes,
  type Doubt,
  doubtChange,
  type Opened,
  open,
  type Place,
  shelfChange,
  withData,
} from './shelf.ts';

interface DocumentsOptions {
  readonly place: Place;
  readonly name: string;
  readonly api: KubeApi;
  readonly clock: Clock;
  readonly seal: () => Seal;
  /** This replica's name. */
  readonly replica: string;
  /** The newest head that an earlier life of this replica knew. */
  readonly known: Known | null;
  /** Told of all that is read, believed or not; `isLive`: it was written just now. */
  readonly changed: (isLive: boolean) => void;
}

/** A head that stood there; `tx`: which of those with its number; '': any. */
interface Known {
  readonly term: number;
  readonly number: number;
  readonly tx: string;
}

/** What the Lease says of the documents. */
interface Witness {
  readonly uid: string;
  /** A replica has written documents while it held it. */
  readonly isUsed: boolean;
}

/** Why nobody may act on what stands there. */
interface Problem {
  readonly word: 'restored' | 'forged';
  readonly sentence: string;
}

export type Written =
  | { readonly kind: 'written' }
  /** Surely not, and never: another head stands there, or one that nobody may follow. */
  | { readonly kind: 'overtaken'; readonly why: string }
  /** Surely not, and nothing that was sent before may still come. */
  | { readonly kind: 'refused'; readonly word: KubeWord | 'full'; readonly why: string }
  /** Nobody knows, and the time is over. */
  | { readonly kind: 'unknown'; readonly why: string };

/** What is to be written over what stands there, in an object with this uid. */
type Making = (opened: Opened, home: string) => Changes | { readonly full: string };

/** One call: the object is up to 1.4 MiB on the wire. */
const CALL_MS = 5000;
const AGAIN_MS = 200;
const REPLACE_TRIES = 3;
const nothing: Known = { term: 0, number: 0, tx: '' };

export class Documents {
  /** Why the last reading failed; null: it did not. */
  fault: { readonly word: KubeWord; readonly detail: string } | null = null;
  readonly #options: DocumentsOptions;
  #object: KubeObject | null = null;
  #opened: Opened | null = null;
  #problem: Problem | null = null;
  /** Why it cannot be believed. */
  #forged: string | null = null;
  #lease: Witness | null = null;
  #known: Known;
  /** What another replica says that it knows. */
  #heard: { readonly number: number; readonly replica: string } | null = null;
  #heardTerm = 0;
  /** The same, where a reading that was asked for later shows less. */
  #missed: { readonly number: number; readonly replica: string } | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: DocumentsOptions) {
    this.#options = options;
    this.#known = options.known ?? nothing;
  }

  /** What stands there, where it may be believed. */
  get opened(): Opened | null {
    return this.#problem === null ? this.#opened : null;
  }

  get problem(): Problem | null {
    return this.#problem;
  }

  /** The newest head that was ever believed here. */
  get known(): Known {
    return this.#known;
  }

  /** Of what was read last; null: nothing was. */
  get resourceVersion(): string | null {
    return this.#object?.metadata.resourceVersion ?? null;
  }

  get isMissing(): boolean {
    return this.fault?.word === 'missing';
  }

  /** Reads it as it stands now. */
  refresh(): Promise<void> {
    return this.#inTurn(() => this.#refresh());
  }

  /** A change that a watch tells of; what does not show whether it is newer is read anew. */
  event(object: KubeObject): Promise<void> {
    return this.#inTurn(async () => {
      const newer = isNewer(object, this.#object);
      if (newer === true) this.#accept(object, true);
      else if (newer === null) await this.#refresh();
    });
  }

  /**
   * Writes the head that `make` gives over the one with this raw text, until it is known what
   * became of it or the time is over. `make` is asked once.
   */
  write(raw: string, make: Making, until: () => number): Promise<Written> {
    return this.#inTurn(() => this.#write(raw, make, until));
  }

  /** Changes what is beside the head, whatever head that is; false: it is not known to be done. */
  beside(make: (opened: Opened) => Changes | null, untilAt: number): Promise<boolean> {
    return this.#inTurn(async () => {
      for (;;) {
        if (this.#object === null || this.fault !== null) await this.#refresh();
        if (this.#problem !== null) return false;
        if (this.#opened !== null && this.fault === null) {
          const changes = make(this.#opened);
          if (changes === null) return true;
          const answer = await this.#put(changes);
          if (answer.ok) return true;
          if (answer.word === 'refused' || answer.word === 'invalid') return false;
          // What stands there now says whether it was done.
          await this.#refresh();
        }
        if (this.#options.clock.now() + AGAIN_MS >= untilAt) return false;
        await this.#pause();
      }
    });
  }

  /** Makes the object, empty, where it was never there. */
  create(): Promise<KubeAnswer> {
    return this.#inTurn(() => this.#create());
  }

  /**
   * A person's word: makes this the group's state whatever stands there, over any doubt. A text
   * says why it could not be done.
   */
  replace(
    make: (above: Known, home: string) => Buffer | { readonly full: string },
  ): Promise<string | null> {
    return this.#inTurn(async () => {
      const { place, name, api, seal } = this.#options;
      let why = '';
      for (let tries = 0; tries < REPLACE_TRIES; tries++) {
        await this.#refresh();
        if (this.isMissing) {
          const made = await this.#create();
          if (!made.ok) return `the ${place} ${name} is not there: ${made.detail}`;
        }
        const object = this.#object;
        if (object === null || this.fault !== null) return this.fault?.detail ?? 'it is not read';
        // Another replica did the same meanwhile.
        if (this.#problem === null) return 'the group is no longer in doubt';
        const bytes = make(this.#highest(), object.metadata.uid!);
        if ('full' in bytes) return bytes.full;
        const next = withData(place, object, [shelfChange(bytes), doubtChange(null, seal())]);
        const answer = await api.put(place, next, CALL_MS);
        if (answer.ok) {
          this.#heard = null;
          this.#missed = null;
          this.#accept(answer.object);
          return null;
        }
        why = answer.detail;
        if (answer.word !== 'conflict') break;
      }
      return why;
    });
  }

  /** Looks again at what was read, as the Lease was seen. */
  judge(lease: Witness | null): void {
    const isSame = lease?.uid === this.#lease?.uid && lease?.isUsed === this.#lease?.isUsed;
    this.#lease = lease;
    if (!isSame) this.#judge(false);
  }

  /** Another replica says that it knows a head of this number; true: more than stands here. */
  hear({ number, term }: Omit<Known, 'tx'>, replica: string): boolean {
    this.#heardTerm = Math.max(this.#heardTerm, term);
    if (number > (this.#heard?.number ?? 0)) this.#heard = { number, replica };
    return number > (this.#opened?.shelf?.number ?? 0);
  }

  /** What this replica knows and the others may not; null where there is nothing to tell them. */
  doubt(): Doubt | null {
    const opened = this.#opened;
    if (this.#problem?.word !== 'restored' || opened === null) return null;
    const { term } = this.#known;
    const shelf = opened.shelf;
    const most = Math.max(this.#known.number, this.#missed?.number ?? 0);
    // The same number with another content: a higher one is what makes them stop.
    const number = shelf !== null && shelf.number === most ? most + 1 : most;
    const isTold = (one: { term: number; number: number } | null) =>
      one !== null && one.number >= number && one.term >= term;
    if (number === 0 || isTold(shelf) || isTold(opened.doubt)) return null;
    return { term, number, replica: this.#options.replica };
  }

  /** Lets every other replica stop as well, also one that has just started and knows nothing. */
  raise(doubt: Doubt): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#object === null) return;
      const answer = await this.#put([doubtChange(doubt, this.#options.seal())]);
      if (!answer.ok) await this.#refresh();
    });
  }

  // -------------------------------------------------------------- writing

  async #write(raw: string, make: Making, until: () => number): Promise<Written> {
    if (this.#opened?.raw !== raw) return overtaken(this.#problem);
    const changes = make(this.#opened, this.#object!.metadata.uid!);
    if ('full' in changes) return { kind: 'refused', word: 'full', why: changes.full };
    const head = changes.find(([key]) => key === 'shelf')![1]!.toString('base64');
    const { clock } = this.#options;
    let mayBeDone = false;
    let why = 'there was no time for it';
    for (;;) {
      if (until() <= clock.now()) return { kind: mayBeDone ? 'unknown' : 'overtaken', why };
      const answer = await this.#put(changes);
      if (answer.ok) return { kind: 'written' };
      why = answer.detail;
      const isFinal = answer.word === 'refused' || answer.word === 'invalid';
      if (isFinal && !mayBeDone) return { kind: 'refused', word: answer.word, why };
      if (answer.word === 'uncertain') mayBeDone = true;
      if (answer.word !== 'conflict') await this.#pause();
      // What stands there now says whether it was done, or can still be.
      await this.#refresh();
      if (this.#opened?.raw === head) return { kind: 'written' };
      if (this.#problem !== null || this.#opened?.raw !== raw) return overtaken(this.#problem);
    }
  }

  /** Compares with the version that was read, and sets. */
  async #put(changes: Changes): Promise<KubeAnswer> {
    const { place, api } = this.#options;
    const answer = await api.put(place, withData(place, this.#object!, changes), CALL_MS);
    if (answer.ok) this.#accept(answer.object);
    return answer;
  }

  async #create(): Promise<KubeAnswer> {
    const { place, name, api } = this.#options;
    const answer = await api.create(place, { metadata: { name } }, CALL_MS);
    if (answer.ok) this.#accept(answer.object);
    return answer;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => void this.#options.clock.after(AGAIN_MS, resolve));
  }

  /** One after the other, so that no answer is read against what a later one has changed. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work);
    this.#last = mine.catch(() => {});
    return mine;
  }

  /** The highest term and number of all that is known or stands there. */
  #highest(): Known {
    const { shelf, doubt } = this.#opened ?? { shelf: null, doubt: null };
    const all = [this.#known, shelf, doubt].filter((one) => one !== null);
    const number = Math.max(this.#heard?.number ?? 0, ...all.map((one) => one.number));
    const term = Math.max(this.#heardTerm, ...all.map((one) => one.term));
    return { term, number, tx: '' };
  }

  // -------------------------------------------------------------- reading

  async #refresh(): Promise<void> {
    const { place, name, api } = this.#options;
    const heard = this.#heard;
    const answer = await api.get(place, name, CALL_MS);
    if (!answer.ok && answer.word !== 'missing') {
      this.fault = answer;
      return this.#options.changed(false);
    }
    const stands = answer.ok ? this.#read(answer.object) : this.#lose(answer);
    this.#missed = heard !== null && stands < heard.number ? heard : null;
    this.#judge(false);
  }

  #lose(fault: Extract<KubeAnswer, { ok: false }>): number {
    this.fault = fault;
    this.#object = null;
    this.#opened = null;
    this.#forged = null;
    return 0;
  }

  #accept(object: KubeObject, isLive = false): void {
    this.#read(object);
    this.#judge(isLive);
  }

  /** The number of the head that stands there. */
  #read(object: KubeObject): number {
    const { place, seal } = this.#options;
    const read = open(place, object, seal());
    const isForged = 'problem' in read;
    this.fault = null;
    this.#object = object;
    this.#opened = isForged ? null : read;
    this.#forged = isForged ? read.problem : null;
    const number = this.#opened?.shelf?.number ?? 0;
    if (this.#missed !== null && number >= this.#missed.number) this.#missed = null;
    return number;
  }

  #judge(isLive: boolean): void {
    this.#problem = this.#found();
    const shelf = this.#problem === null ? this.#opened?.shelf : null;
    if (shelf) this.#known = { term: shelf.term, number: shelf.number, tx: shelf.tx };
    this.#options.changed(isLive);
  }

  #found(): Problem | null {
    const { place, name } = this.#options;
    const what = `the group's documents (${place} ${name})`;
    const cure = '`detour ack --restored` on the replica that knows best puts its state in force';
    const because = (word: Problem['word'], why: string): Problem => {
      return { word, sentence: `${what}: ${why}; nobody acts: ${cure}` };
    };
    if (this.#forged !== null) return because('forged', this.#forged);
    // Before it was read for the first time nothing is known.
    if (this.#object === null && !this.isMissing) return null;
    const shelf = this.#opened?.shelf ?? null;
    const why = this.#wentBack() ?? (shelf === null ? null : this.#isAnother(shelf));
    return why === null ? null : because('restored', why);
  }

  /** Why what stands there is older than what was; null: it is not. */
  #wentBack(): string | null {
    const known = this.#known;
    const doubt = this.#opened?.doubt ?? null;
    const shelf = this.#opened?.shelf ?? { number: 0, term: 0, tx: '' };
    const stands = shelf.number === 0 ? 'they are gone' : `they are of ${said(shelf)}`;
    if (shelf.number < known.number || shelf.term < known.term) {
      return `${stands}, and were at ${said(known)}`;
    }
    if (shelf.number === known.number && known.tx !== '' && known.tx !== shelf.tx) {
      return `number ${shelf.number} is another than the one that was seen`;
    }
    if (doubt !== null && (doubt.number > shelf.number || doubt.term > shelf.term)) {
      return `${stands}, and ${doubt.replica} has seen ${said(doubt)}`;
    }
    if (this.#missed !== null) {
      const { replica, number } = this.#missed;
      return `${stands}, and replica ${replica} knows number ${number}`;
    }
    const isLost = shelf.number === 0 && this.#lease?.isUsed === true;
    return isLost ? `${stands}, and the Lease says that there were some` : null;
  }

  /** Why it was not written for this Lease and this object; null: it was. */
  #isAnother(shelf: { readonly home: string; readonly lease: string }): string | null {
    if (shelf.home !== this.#object!.metadata.uid) return 'their object was made anew';
    if (this.#lease !== null && shelf.lease !== this.#lease.uid) {
      return 'the Lease was deleted and made anew';
    }
    return null;
  }
}

const said = ({ term, number }: Pick<Known, 'term' | 'number'>) =>
  `number ${number} (term ${term})`;

function overtaken(problem: Problem | null): Written {
  return { kind: 'overtaken', why: problem?.sentence ?? 'another head stands there' };
}
