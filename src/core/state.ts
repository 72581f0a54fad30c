// Everything the engine knows, and what one step gives back. The state is owned by the engine and
// changed in place; what leaves it (effects, entries, documents) is plain JSON. Nothing in here
// decides: it is the shape, the collecting of a step's results, and the seeded randomness that
// makes the same events give the same effects.

import type { CheckState, Loss } from './detect.ts';
import type { Diagnosed } from './diagnose.ts';
import type { Sighting, Telling } from './heard.ts';
import type { LineProofs, Lines } from './lines.ts';
import type {
  Answer,
  ChainAnswer,
  Change,
  CheckConfig,
  CheckId,
  Command,
  CoreConfig,
  DrillDoc,
  DrillKind,
  Entry,
  EntryKind,
  Fault,
  FaultKind,
  Genuine,
  GroupState,
  Health,
  Json,
  Mark,
  Marker,
  MoveReason,
  Name,
  Notice,
  Observation,
  Pin,
  ProblemWord,
  RecordConfig,
  Reply,
  Seen,
  ServerAnswer,
  Standby,
  StayReason,
  Survey,
  Verdict,
} from './model.ts';
import type { Notices } from './notices.ts';
import type { Measured, Promised } from './objective.ts';
import type { Absence } from './patience.ts';
import type { Edit, Placed, Standing } from './plan.ts';
import type { Rate } from './rate.ts';
import type { Lot, Reference } from './sight.ts';
import type { Deadline, Timers } from './timers.ts';

export interface OriginState {
  readonly name: string;
  readonly region: string | null;
  /** null where nothing is known of its cloud. */
  readonly cloud: CloudState | null;
  health: Health;
  sinceAt: number;
  /** The evidence behind its health, in words. */
  why: string;
  /** Set by `down`, cleared only by `up`: patience runs from here. */
  downSinceAt: number | null;
  /** When it began to fail by every path that says so; set and cleared with it. */
  failingSinceAt: number | null;
  /** From when the time to settle counts: a start, a reload, a pause, the end of blindness. */
  settleFromAt: number;
  readonly checks: readonly CheckId[];
  /** Those of its checks that are not advisory. */
  own: readonly Judged[];
  /** The same, and the cloud services it needs. */
  required: readonly Judged[];
  /** Records with a target that leads here. */
  readonly records: Set<Name>;
  /** Records that wait for a fresh pass from here (rule 3); null: none ever did. */
  waiting: Set<Name> | null;
  /** Records that are about to leave it, and wait for a fresh failure of it (rule 3); the same. */
  leaving: Set<Name> | null;
  /** How long its verdict may take to settle; worked out when first asked for. */
  settleMs: number | null;
  /** What its checks said, in words, when that was last asked for, and in which step. */
  words: { readonly step: number; readonly text: string } | null;
  /** When it came back after being down, of late. */
  flaps: number[];
  /** Until then it is taken only if nothing steadier is up. */
  trustedAt: number;
  /** When it is asked again for the records that wait for it. */
  readonly deadline: Deadline;
}

/** One check on one path, that path, and where what becomes of it there is counted. */
export interface Voter {
  readonly cs: CheckState;
  readonly way: PathState;
  readonly lot: Lot;
}

/** One check, and what all its paths come to. */
export interface Judged {
  /** As configured; replaced by a reload. */
  config: CheckConfig;
  /** One a path, in the order of the configuration. */
  readonly all: Voter[];
  /** Those that may vote, by independent group. */
  readonly groups: Voter[][];
  verdict: Verdict;
  sinceAt: number;
  /** Some groups say up and some say down. */
  disputed: boolean;
  /** When the other replicas were last asked to confirm it; -1: not yet. */
  calledAt: number;
  /** Bursts that ends of held connections began of late, and none of them found it down. */
  vain: number;
  /** When the last of them began; -1: not yet. */
  endedAt: number;
  /** When they were asked for the sake of a decision; until when what it shows is told each time. */
  freshAt: number;
  tellUntilAt: number;
}

/** What another replica says of a check by one of its paths. */
export interface Hearsay {
  readonly of: ReplicaState;
  /** The latest, whether it counts or not; null: none that stands. */
  sighting: Sighting | null;
  /** It was young when it was told, and the teller says so when it is no longer. */
  isRegular: boolean;
  /** When the probe began of which it says that it is not answered; -1: there is none. */
  openBeganAt: number;
}

/** What the others were told of a check by a path of our own. */
export interface Told {
  /** Changed last for the telling of that version. */
  version: number;
  evidence: number;
  recovery: number;
}

/** Another replica of the group, as far as it is heard. */
export interface ReplicaState {
  readonly name: string;
  /** What it says counts. */
  heard: boolean;
  /** Since when that is so, or not. */
  sinceAt: number;
  /** No later than when it said the latest that was heard, in own engine time; -1: nothing yet. */
  saidAt: number;
  /** What was said before this stands for nothing: this process stood still. */
  notBefore: number;
  /** Why it is not heard; empty while it is. */
  why: string;
  /** Hash of its whole configuration, and of each record's definition; null: not told yet. */
  config: string | null;
  records: Readonly<Record<Name, string>> | null;
  blind: boolean;
  acts: boolean;
  head: number;
  /** How long after its latest word what it says counts, by how often its checks are asked. */
  spansMs: readonly number[];
  /** Its paths, and its checks by them. */
  readonly ways: PathState[];
  readonly checks: CheckState[];
  /** Those that are too old although it is heard, and those whose own age counts. */
  readonly stale: Set<CheckState>;
  readonly irregular: Set<CheckState>;
  /** When what it said may be too old. */
  readonly deadline: Deadline;
}

/** What a replica of a group knows of the others, and what it has to tell them. */
export interface Eyes {
  readonly self: string;
  readonly others: Map<string, ReplicaState>;
  /** A share of the budget of confirm probes: all replicas together have it whole. */
  confirm: CoreConfig['confirm'];
  /** Own checks in the order in which they changed; of one check only the last counts. */
  log: { readonly version: number; readonly cs: CheckState }[];
  /** How many own checks there are. */
  checks: number;
  /** What is told next is of this version; the first there was in this life. */
  version: number;
  readonly firstVersion: number;
  /** It has been told: what changes from now on is of the next one. */
  isRead: boolean;
  /** Hashes of the own records' definitions, and in which version they changed. */
  records: Readonly<Record<Name, string>>;
  recordsVersion: number;
  /** Records that were taken out of the configuration here, and perhaps not everywhere yet. */
  readonly leaving: Set<Name>;
  /** Whose definitions agree has been looked at since one changed. */
  isAgreed: boolean;
  /** Why another should act than this one; null: nothing speaks against it. */
  minority: string | null;
  /** When that was last said. */
  yieldedAt: number;
}

export interface PathState {
  readonly name: string;
  /** Whose it is, where it is another replica's; null: our own. */
  readonly replica: ReplicaState | null;
  readonly group: string;
  readonly cloud: string | null;
  /** Its own reference points, and origins of every cloud that serve as such. */
  readonly references: readonly Reference[];
  /** When the latest pass by it began, of whatever check. */
  passBeganAt: number;
  /** None of its reference points answers it. */
  blind: boolean;
  /** Checks with failures that wait for a reference point to answer. */
  readonly waiting: Set<CheckId>;
  askedAt: number;
  readonly loss: Loss;
  /** What became of probes by it of late: of each cloud, and of each reference point. */
  readonly lots: ReadonlyMap<string, Lot>;
  /** Origins' checks it condemns, by cloud, of how many. */
  readonly down: Map<string, number>;
  readonly checks: number;
  suspect: boolean;
}

export interface CloudState {
  readonly name: string;
  readonly origins: readonly string[];
  diagnosis: Diagnosed;
  sinceAt: number;
  /** When it is diagnosed again. */
  readonly deadline: Deadline;
}

/** One record at one provider. */
/**
 * What is mended: the marker alone; what serves nobody; or what the record says is to be put back.
 * Each is counted for itself: what a tool does in calm times is not held against the next outage.
 */
export type MendKind = 'marker' | 'away' | 'back';

export interface Cell {
  readonly provider: string;
  /** As configured; what is to stand there now is said by `ttlAt`. */
  ttl: number;
  /** The least that the vendor takes there, by its API's last word; null: it sets none. */
  ttlMin: number | null;
  /** It has refused a shorter TTL than configured: it is left with that until another is wanted. */
  keepsTtl: boolean;
  /** The longest TTL that its servers gave when last asked, all of them; null: not all did. */
  givenTtl: number | null;
  lines: Lines;
  /** What its API last said of each line; null: nothing, or it has but one. */
  stood: Seen['cnames'] | null;
  /** What DNS has shown of each line. */
  proofs: LineProofs;
  /** Rule 8: whether target and marker are known, or known to be out of reach. */
  reading: 'pending' | 'read' | 'unreadable';
  standing: Standing | null;
  /** Whose word that is. */
  standingBy: 'api' | 'dns';
  seen: {
    readonly cname: Name | null;
    readonly ttl: number | null;
    readonly epoch: number | null;
    readonly at: number;
    readonly by: 'api' | 'dns';
  } | null;
  /** Other tools' marks on it, by the API's last word. */
  company: readonly Mark[];
  work: 'none' | 'read' | 'write';
  change: Change | null;
  /** The zone it was last said to be in; a provider says so where that zone is in trouble. */
  zone: Name | null;
  /** When its API last answered for it; 0: never. */
  answeredAt: number;
  queued: 'urgent' | 'routine' | null;
  /** Refused or rejected: nothing is tried until something changes, and nothing waits for it. */
  held: boolean;
  attempts: number;
  retryAt: number;
  /** Why it is not in step, and what to do. */
  problem: { readonly word: ProblemWord; readonly sentence: string } | null;
  /** A marker that gives orders and is ahead of the record's. */
  ahead: Genuine | null;
  /** What somebody else put here, by the API's word a second apart, and since when it stands. */
  edited: (Edit & { readonly at: number }) | null;
  /** What the API gave instead of what we wrote, and since when. */
  odd: { readonly value: string; readonly at: number; readonly backAt: number | null } | null;
  /** The last value that was sent here and never answered for: it may still arrive. */
  lost: Late | null;
  /** How often in a row this record was mended here after edits, and when last. */
  mends: Readonly<Record<MendKind, { readonly count: number; readonly lastAt: number }>>;
  /** The TTL that DNS gives, and how often the API was asked in vain why it had changed. */
  timed: { readonly ttl: number; readonly vain: number } | null;
  /** How often its TTL was put right since the last switch. */
  retimes: number;
  /** Detour itself wrote here since the target in force was decided. */
  wrote: boolean;
  writtenAt: number | null;
  /** Its CNAME was written and its marker was left for later. */
  settling: boolean;
  visibleAt: number | null;
  /** When it was sent towards what is in force: that was decided, or its turn came. */
  turnAt: number;
  /** When what DNS gives last made its API be asked again. */
  doubtedAt: number;
  /** Seconds that caches may keep what stood here before the target in force was decided. */
  oldTtl: number;
  survey: Survey | null;
  right: number;
  asked: number;
  asking: boolean;
  askAfterMs: number;
  /** The ask under way also wants the marker, because the API cannot be read. */
  fallback: boolean;
  readonly deadlines: { readonly ask: Deadline; readonly retry: Deadline };
}

export interface Choosing {
  readonly from: string;
  readonly to: string;
  readonly why: MoveReason;
  readonly overspends: boolean;
  readonly sentence: string;
  readonly sinceAt: number;
  chain: ChainAnswer | null;
}

/** A move that goes provider by provider: whoever has not had its turn waits. */
export interface Turns {
  /** All that are to have a turn, in their order. */
  readonly order: readonly string[];
  /** When each that has had its turn got it. */
  readonly openedAt: Readonly<Record<string, number>>;
  /** How long each is watched, once it is visible, before the next. */
  readonly watchMs: number;
}

/** How far a live drill has come. */
export const drillStages = [
  /** The target is asked once more before anything moves. */
  'confirming',
  /** Not every provider serves the drill's target yet. */
  'going',
  /** All do; it is held there. */
  'away',
  /** It is to come back; the target it came from is asked once more. */
  'ending',
  /** Not every provider serves the target it came from yet. */
  'returning',
] as const;
export type DrillStage = (typeof drillStages)[number];

/** What one provider took, in milliseconds from its turn; null: it has not happened. */
export interface DrillPart {
  readonly provider: string;
  readonly writtenMs: number | null;
  readonly visibleMs: number | null;
  /** Seconds that caches could keep what stood before; left out by earlier versions. */
  readonly ttl?: number;
}

/** A live drill, from the order to its end. */
export interface Drill {
  readonly id: string;
  /** Where it came from, and comes back to. */
  readonly from: string;
  readonly to: string;
  readonly stage: DrillStage;
  readonly byVendor: boolean;
  readonly watchMs: number | null;
  readonly forMs: number;
  readonly reason: string;
  readonly by: string;
  readonly asked: 'schedule' | null;
  readonly sinceAt: number;
  /** When its stage began. */
  readonly stageAt: number;
  /** Seconds, borne by what is away alone: it soon comes back. null, left out: as configured. */
  readonly ttl?: number | null;
  /** Why it was broken off; null: it was not. */
  readonly trouble: string | null;
  /** Of the way there. */
  readonly parts: readonly DrillPart[];
}

export const drillResults = ['passed', 'failed', 'refused', 'broken-off'] as const;

/** What came of one live drill: the last of them are kept. */
export interface DrillRun {
  readonly id: string;
  readonly result: (typeof drillResults)[number];
  readonly from: string;
  readonly to: string;
  readonly byVendor: boolean;
  /** When it ended. */
  readonly at: number;
  /** From the order to the end. */
  readonly ms: number;
  readonly sentence: string;
  /** Of the way there, and of the way back. */
  readonly parts: readonly DrillPart[];
  readonly back: readonly DrillPart[];
}

export const preparedFor = ['operator', 'window', 'failback'] as const;

/** A record whose TTL is brought down before a move that is planned. */
export interface Prepared {
  /** Seconds that are wanted. */
  readonly ttl: number;
  readonly reason: string;
  readonly by: string;
  /** What for: a person says so, or a move by itself is due. */
  readonly asked: (typeof preparedFor)[number];
  readonly sinceAt: number;
  /** It goes back then. */
  readonly untilAt: number;
  /** It was ready, and that was told. */
  readonly ready: boolean;
  readonly parts: Readonly<Record<string, PreparedPart>>;
}

/** The same at one provider, in seconds. */
export interface PreparedPart {
  /** The longest that what a cache took before may last. */
  readonly from: number;
  /** What the provider lets it come down to. */
  readonly ttl: number;
  /** Since when all its servers give that or less; null: not yet, or no longer. */
  readonly at: number | null;
}

/** A value that was sent and not answered for, and when. */
export interface Late {
  readonly value: Name;
  readonly at: number;
}

/** A decision that waits for a person, or that one has answered: of exactly these, and once. */
export interface Approval {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly why: MoveReason;
  readonly overspends: boolean;
  /** The epoch in force when it was asked. */
  readonly epoch: number;
  readonly sentence: string;
  readonly sinceAt: number;
  /** So long after that silence goes; null: it stays. */
  readonly afterMs: number | null;
  readonly answer: 'none' | 'approved' | 'rejected';
  readonly answeredAt: number | null;
  /** Who answered, as it is told; null: nobody, or silence. */
  readonly by: string | null;
}

/** One run of the hook before a switch, and what it said of exactly that switch. */
export interface HookRun {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly why: MoveReason;
  /** The epoch in force when it began. */
  readonly epoch: number;
  readonly beganAt: number;
  readonly answer: 'none' | 'go' | 'veto' | 'silent';
  readonly answeredAt: number | null;
  /** What it said, for people. */
  readonly detail: string;
}

/** What of a record is durable: its document in the store. Replaced by `amend`, never changed. */
export interface RecordDoc {
  readonly target: string | null;
  readonly cname: Name | null;
  readonly marker: Marker | null;
  /** Highest epoch ever stored or seen at any provider. */
  readonly epochMax: number;
  readonly decidedAt: number | null;
  readonly endedAt: number | null;
  readonly pin: Pin | null;
  readonly switches: readonly number[];
  /** Those of them after which the target that was left came back before clients could follow. */
  readonly needless: readonly number[];
  readonly overspentAt: number | null;
  readonly quietSinceAt: number;
  readonly deposed: Marker | null;
  readonly freeze: Freeze | null;
  /**
   * Providers where an unmarked value may be replaced: `any` by `detour adopt`, `configured` (only
   * a target of the record's own) where it was adopted as it stood.
   */
  readonly claims: Readonly<Record<string, 'any' | 'configured'>>;
  /** What of ours was last seen to stand, by provider: ours though its marker is taken away. */
  readonly placed: Readonly<Record<string, Placed>>;
  /** The epoch of the last switch; a marker that was only written anew has a higher one. */
  readonly since: number;
  /** By provider, what was sent before the target in force was decided and may still arrive. */
  readonly late: Readonly<Record<string, Late>>;
  /** Targets that were set by hand and mended away or taken, and when last. */
  readonly wishes: Readonly<Record<string, number>>;
  /** The marker in force was found while these had not been heard: what they bear goes before it. */
  readonly unheard: readonly string[];
  /** The marker in force came from adopting what stood there: its TTL is left alone. */
  readonly adopted: boolean;
  /** The target that the last switch left. */
  readonly left: string | null;
  /** When each target that was left last had the record. */
  readonly carried: Readonly<Record<string, number>>;
  readonly approval: Approval | null;
  readonly hook: HookRun | null;
  /** The live drill that it is in; null: none. */
  readonly drill: Drill | null;
  /** Its TTL is down, or on its way there; null: it is as configured. */
  readonly prepared: Prepared | null;
  /** The move under way goes provider by provider; null: all at once, or no more. */
  readonly turns: Turns | null;
}

export interface RecordState {
  readonly name: Name;
  config: RecordConfig;
  /** Where its targets lead, in their order. */
  origins: readonly OriginState[];
  doc: RecordDoc;
  /** The document before the switch of this very step, in case it cannot be committed. */
  prior: RecordDoc | null;
  stay: { readonly reason: StayReason; readonly sentence: string };
  /** Most replicas that are heard define it otherwise: who has which; null: they do not. */
  differs: { readonly sentence: string; readonly sinceAt: number } | null;
  choosing: Choosing | null;
  /** Targets whose chain was broken or unanswered, and until when that is believed. */
  readonly unresolved: Map<string, number>;
  /** What audits last found of its targets, and when. */
  readonly standbys: Map<string, Pick<Standby, 'word' | 'why'> & { readonly at: number }>;
  /** No target was up at the last look. */
  dark: boolean;
  /** After such darkness, until when a target that is still down is given time to come back too. */
  dawnUntilAt: number;
  readonly cells: Map<string, Cell>;
  /** Since when it is not known whether the target in force is still the right one; null: known. */
  unsureSinceAt: number | null;
  /** What a person has been told of, and was not told to be over. */
  told: StayReason | 'pinned-down' | null;
  /** The last reason for staying that stands in the journal. */
  noted: StayReason | null;
  /** A switch whose promise to its clients is not judged yet. */
  promised: Promised | null;
  /** When its last switch was to help all clients, as foreseen; null: another one decided it. */
  helps: { readonly decidedAt: number; readonly at: number } | null;
  /** What was last journalled of how long its next one is to take. */
  foretold: { readonly ms: number; readonly objectiveMs: number } | null;
  /** The last question that has ended, and how, for who answers it all the same. */
  asked: { readonly id: string; readonly sentence: string } | null;
  readonly deadlines: {
    readonly readDns: Deadline;
    readonly review: Deadline;
    readonly endSwitch: Deadline;
    /** Its drill is looked at; the next provider may have its turn. */
    readonly drill: Deadline;
    readonly turn: Deadline;
  };
}

/** Records with something to do, the oldest first. */
export interface Queue {
  readonly urgent: Set<Name>;
  readonly routine: Set<Name>;
}

/** How long what has failed is left alone. */
export interface Rest {
  /** In a row. */
  failures: number;
  retryAt: number;
  /** The same for a switch under way, which waits less. */
  urgentAt: number;
}

/** A zone in trouble. Its records wait here, apart from the lane's others. */
export interface SickZone extends Queue, Rest {
  readonly zone: Name;
  fault: Fault;
  readonly sinceAt: number;
  /** It is writing that fails: being read does not make it well. */
  writing: boolean;
}

/** Questions to a provider's name servers: how many are under way, and which records wait. */
interface Asks extends Queue {
  under: number;
}

export interface Lane extends Queue, Rest {
  readonly provider: string;
  readonly asks: Asks;
  /** The one call under way. */
  busy: {
    readonly id: number;
    readonly kind: 'read' | 'write';
    readonly names: readonly Name[];
    /** Of a write: what was sent, in the order of the names. */
    readonly changes: readonly Change[];
    readonly startedAt: number;
    readonly urgent: boolean;
    /** A reading that gives way to urgent work. */
    readonly yields: boolean;
  } | null;
  /** Zones in trouble by name, the one tried longest ago first. */
  readonly zones: Map<Name, SickZone>;
  /** No zone of it can be read: they share one rest, and are tried one at a time. */
  allSick: boolean;
  /** None of its name servers has answered since; `told` once that has lasted. */
  silence: { readonly sinceAt: number; told: boolean } | null;
  fault: { readonly kind: FaultKind; readonly sentence: string } | null;
  faultSinceAt: number;
  tokens: number;
  refilledAt: number;
  /** When it may send again. */
  readonly deadline: Deadline;
}

/** What an operator holds until it is given back, or ends by itself. */
export interface Freeze {
  readonly reason: string;
  readonly by: string;
  readonly sinceAt: number;
  /** null: until it is given back; left out by earlier versions. */
  readonly untilAt?: number | null;
}

export interface Drain extends Freeze {
  readonly what: string;
}

/** A window of maintenance that is open, as it is written, and when it ends. */
export interface Maintained {
  readonly window: string;
  readonly untilAt: number;
}

/** A window of maintenance that is about to open. */
interface Coming {
  readonly window: string;
  readonly fromAt: number;
}

/** Since when drills of a kind are scheduled. */
export interface Scheduled {
  readonly at: number;
}

export interface State {
  config: CoreConfig;
  /** Since when that is in force. */
  configuredAt: number;
  /** Steps taken so far. */
  steps: number;
  now: number;
  wall: number;
  readonly random: [number, number, number, number];
  readonly checks: Map<string, CheckState>;
  readonly judged: Map<CheckId, Judged>;
  /** How fast each place may be asked: an origin by its name, else a check by its id. */
  readonly rates: Map<string, Rate>;
  readonly paths: Map<string, PathState>;
  readonly clouds: Map<string, CloudState>;
  /** The origins that need a service check. */
  readonly needing: Map<CheckId, readonly string[]>;
  readonly origins: Map<string, OriginState>;
  readonly records: Map<Name, RecordState>;
  /** What the store held at the start of records that were not configured then; they may be again. */
  readonly asleep: Map<Name, RecordDoc>;
  readonly lanes: Map<string, Lane>;
  /** Lanes that may have something to send at the end of this step, by provider. */
  readonly stirred: Set<string>;
  readonly drains: Map<string, Drain>;
  freeze: Freeze | null;
  /** What is in maintenance by the clock on the wall, as the edge says; never stored. */
  readonly maintained: {
    readonly origins: Map<string, Maintained>;
    readonly records: Map<Name, Maintained>;
    /** Of origins, what opens soon. */
    readonly soon: Map<string, Coming>;
  };
  /** The last results by `KIND/NAME`, and since when each kind is scheduled. */
  readonly drills: Map<string, DrillDoc>;
  readonly scheduled: Map<DrillKind, Scheduled>;
  /** When the first drain, or the freeze of everything, ends by itself. */
  readonly holds: Deadline;
  /** `shared`: others compete for it, as is known once it was lost, or not had at first. */
  lease: { held: boolean; term: number; shared: boolean };
  /** The group of replicas, as this one knows it; null: alone. */
  group: GroupState | null;
  storeOk: boolean;
  confirm: { tokens: number; refilledAt: number };
  /** Held connections that have ended within a second, and when that began. */
  readonly ends: { count: number; sinceAt: number };
  readonly timers: Timers;
  readonly notices: Notices;
  nextEffect: number;
  /** Highest epochs of names that were released: theirs never begin again (rule 1). */
  readonly released: Map<Name, number>;
  /** How long writing and becoming visible take, by provider. */
  readonly measured: Map<string, Measured>;
  /** The last absences that ended by themselves, by origin, oldest first. */
  readonly absences: Map<string, readonly Absence[]>;
  /** How long the last transactions of the group took, in milliseconds. */
  readonly commits: number[];
  /** The live drill that this life began and has not lost sight of; null: none. */
  drilling: string | null;
  /** By record what came of its live drills, the last first. */
  readonly drilled: Map<Name, readonly DrillRun[]>;
  /** What the replicas of a group see together; null: alone. */
  eyes: Eyes | null;
  /** Records whose marker is to follow what was said while the store could not commit. */
  readonly unmarked: Set<Name>;
  /** Records switched in steps that have not been committed yet. */
  tentative: Name[];
  /** Documents of the group's that were changed here while another acts; none, by design. */
  readonly strays: Set<string>;
}

export type Event =
  | { readonly kind: 'tick' }
  | {
      readonly kind: 'probed';
      readonly check: CheckId;
      readonly path: string;
      readonly observation: Observation;
    }
  | {
      readonly kind: 'read';
      readonly provider: string;
      readonly id: number;
      readonly answers: Readonly<Record<Name, Answer<Seen>>>;
      /** API calls that were made for it; one where it is not said. */
      readonly calls?: number;
    }
  | {
      readonly kind: 'written';
      readonly provider: string;
      readonly id: number;
      readonly answers: readonly Answer<null>[];
      readonly calls?: number;
      /** Why it was never begun: nothing of it was sent; left out: it was. */
      readonly unsent?: string;
    }
  | {
      readonly kind: 'asked';
      readonly provider: string;
      readonly record: Name;
      readonly answers: readonly ServerAnswer[];
    }
  | {
      readonly kind: 'chained';
      readonly record: Name;
      readonly target: string;
      readonly answer: ChainAnswer;
    }
  /** An audit's facts about the zones behind the records, and about their targets. */
  | {
      readonly kind: 'surveyed';
      readonly surveys: readonly Survey[];
      /** Of every target of every record with public names; left out: nobody looked. */
      readonly standbys?: readonly Standby[];
    }
  | { readonly kind: 'command'; readonly request: number; readonly command: Command }
  /** `changes`: what is another, one line each, for the journal. */
  | {
      readonly kind: 'configured';
      readonly config: CoreConfig;
      readonly changes?: readonly string[];
    }
  /** The hook before a switch has answered; `unrun`: it was never begun. */
  | {
      readonly kind: 'hooked';
      readonly record: Name;
      readonly id: string;
      readonly answer: 'go' | 'veto' | 'silent' | 'unrun';
      readonly detail: string;
    }
  | { readonly kind: 'lease'; readonly held: boolean; readonly term: number }
  /** What the group decided; `whole`: nothing else is left of what was known of it. */
  | {
      readonly kind: 'learnt';
      readonly docs: readonly (readonly [key: string, value: Json | null])[];
      readonly whole: boolean;
    }
  | { readonly kind: 'group'; readonly group: GroupState }
  /** All windows of maintenance that are open, by origin and record; of origins what opens soon. */
  | {
      readonly kind: 'maintained';
      readonly origins: Readonly<Record<string, Maintained>>;
      readonly records: Readonly<Record<Name, Maintained>>;
      readonly soon?: Readonly<Record<string, Coming>>;
    }
  /** A drill that was made outside the loop has ended. */
  | {
      readonly kind: 'rehearsed';
      readonly drilled: Pick<DrillDoc, 'drill' | 'name' | 'result' | 'ms' | 'sentence' | 'parts'>;
    }
  /** A person's order about a delegation has been carried out, or was refused there. */
  | { readonly kind: 'delegated'; readonly sentence: string; readonly data: Json }
  /** Which drills are scheduled, and what each kind may be of; what is neither is forgotten. */
  | {
      readonly kind: 'scheduled';
      readonly kinds: readonly DrillKind[];
      readonly names: Readonly<Record<DrillKind, readonly string[]>>;
    }
  /** The process or the machine stood still for so long. */
  | { readonly kind: 'paused'; readonly forMs: number }
  /** The last step's commit failed, or commits work again; of the store, where `what` is left out. */
  | {
      readonly kind: 'store';
      readonly ok: boolean;
      readonly what?: string;
      /** Documents that were dropped while it could not commit; a group may hold them still. */
      readonly dropped?: readonly string[];
    }
  /** Another replica tells; `saidAt`: in own engine time, no later than when it was said. */
  | { readonly kind: 'heard'; readonly telling: Telling; readonly saidAt: number }
  /** It is heard no longer: its votes are gone. */
  | { readonly kind: 'unheard'; readonly replica: string; readonly why: string }
  /** It asks for these to be probed here too, as far as the rates allow. */
  | {
      readonly kind: 'called';
      readonly replica: string;
      readonly checks: readonly CheckId[];
      readonly why: CallReason;
    }
  /** Held connections have ended by themselves: that asks for probes, and says nothing. */
  | { readonly kind: 'ended'; readonly ends: readonly End[] };

/** A held connection that has ended: of a check, by a path of our own. */
export interface End {
  readonly check: CheckId;
  readonly path: string;
}

/** `confirm`: somebody saw a failure. `fresh`: a decision needs what began after it (rule 3). */
export type CallReason = 'confirm' | 'fresh';

export type Effect =
  /**
   * `at` comes back as the observation's `startedAt`. `routine`: by the clock, of what is plainly up;
   * nothing else hangs on it, so it may take what was verified a moment ago for verified.
   */
  | {
      readonly kind: 'probe';
      readonly check: CheckId;
      readonly path: string;
      readonly at: number;
      readonly routine: boolean;
    }
  | {
      readonly kind: 'read';
      readonly provider: string;
      readonly id: number;
      readonly names: readonly Name[];
      readonly deadlineMs: number;
    }
  /** The reading of that id is not waited for any longer; its answers no longer count. */
  | { readonly kind: 'abandon'; readonly provider: string; readonly id: number }
  | {
      readonly kind: 'write';
      readonly provider: string;
      readonly id: number;
      readonly changes: readonly Change[];
      readonly deadlineMs: number;
    }
  | {
      readonly kind: 'ask';
      readonly provider: string;
      readonly record: Name;
      readonly marker: boolean;
      /** What askers of these lines get is wanted, too. */
      readonly lines?: readonly string[];
    }
  | {
      readonly kind: 'chain';
      readonly record: Name;
      readonly target: string;
      readonly name: Name;
    }
  | { readonly kind: 'notify'; readonly notice: Notice }
  /** Of what is run before a switch the answer is told as `hooked`; what is run after it informs. */
  | {
      readonly kind: 'hook';
      readonly when: 'before' | 'after';
      readonly record: Name;
      readonly id: string;
      readonly deadlineMs: number;
      readonly about: HookAbout;
    }
  /** To all other replicas: probe these too. */
  | { readonly kind: 'call'; readonly checks: readonly CheckId[]; readonly why: CallReason }
  /** The definition of some record here is not most replicas': another is to act. */
  | { readonly kind: 'yield'; readonly why: string }
  | { readonly kind: 'reply'; readonly request: number; readonly reply: Reply };

/** What a hook is told of the switch. Plain JSON. */
export type HookAbout = {
  readonly cluster: string;
  readonly record: Name;
  readonly from: string | null;
  readonly to: string;
  readonly cname: Name;
  /** Of the switch; before one, of that which it would be. */
  readonly epoch: number;
  readonly sentence: string;
  /** Once it has ended: after how long, and who is behind. */
  readonly ms?: number;
  readonly behind?: readonly string[];
};

/** What one step gives back: first commit entries and documents, then perform the effects. */
export interface Step {
  readonly effects: Effect[];
  readonly entries: Entry[];
  /** Documents to replace or (null) remove; of two with one key the later holds. */
  readonly docs: (readonly [key: string, value: Json | null])[];
}

/** A follower has seen what another's switch has come to, by then. */
const SEEN_WITHIN_MS = 30_000;

/** Documents that decide, and so are the group's; the others are each replica's own. */
export function isShared(key: string): boolean {
  return key === 'freeze' || /^(?:record|drain|epoch|drill|runs)\//.test(key);
}

/** Another replica acts, or none: what the group decided is shown here, and nothing is decided. */
export function follows(state: State): boolean {
  return state.group !== null && !state.lease.held;
}

/** The switch under way: decided, and neither visible everywhere nor given up on. */
export function isSwitching(r: RecordState): boolean {
  return r.doc.decidedAt !== null && r.doc.endedAt === null;
}

/**
 * The same as it is shown: whoever does not act has seen a switch only by its own eyes, and may be
 * a moment behind the one who ended it.
 */
export function isUnderWay(state: State, r: RecordState): boolean {
  if (isSwitching(r)) return true;
  const { decidedAt } = r.doc;
  if (!follows(state) || decidedAt === null || state.now - decidedAt >= SEEN_WITHIN_MS)
    return false;
  if (r.config.mode === 'observe') return false;
  for (const cell of r.cells.values()) if (cell.visibleAt === null && !cell.held) return true;
  return false;
}

export function emptyStep(): Step {
  return { effects: [], entries: [], docs: [] };
}

export function note(
  out: Step,
  kind: EntryKind,
  record: Name | null,
  sentence: string,
  data: Json = {},
): void {
  out.entries.push({ kind, record, sentence, data });
}

/** Replaces some of a record's document; the new one goes into this step's commit. */
export function amend(out: Step, record: RecordState, change: Partial<RecordDoc>): void {
  record.doc = { ...record.doc, ...change };
  keep(out, record);
}

/** The record's document goes into this step's commit as it is. */
export function keep(out: Step, record: RecordState): void {
  put(out, `record/${record.name}`, record.doc);
}

/** A document goes into this step's commit. The store may keep it as it is: nobody changes it. */
export function put(out: Step, key: string, value: object | number | true): void {
  out.docs.push([key, value as Json]);
}

export function drop(out: Step, key: string): void {
  out.docs.push([key, null]);
}

/** A number in [0, 1) from the state's own seed (sfc32 by Chris Doty-Humphrey, PractRand). */
function random(state: State): number {
  const r = state.random;
  const t = (((r[0] + r[1]) | 0) + r[3]) | 0;
  r[3] = (r[3] + 1) | 0;
  r[0] = r[1] ^ (r[1] >>> 9);
  r[1] = (r[2] + (r[2] << 3)) | 0;
  r[2] = (r[2] << 21) | (r[2] >>> 11);
  r[2] = (r[2] + t) | 0;
  return (t >>> 0) / 4_294_967_296;
}

/** 16 hexadecimal digits: a switch's id. */
export function randomId(state: State): string {
  // By halves of 16 bits: numbers beyond 31 bits are printed ten times as slowly.
  const half = (word: number) => (0x10000 | (word & 0xffff)).toString(16).slice(1);
  const part = () => {
    const word = Math.floor(random(state) * 4_294_967_296);
    return half(word >>> 16) + half(word);
  };
  return part() + part();
}

export function jitter(state: State, ms: number, share: number): number {
  return Math.round(ms * (1 - share + 2 * share * random(state)));
}

/** Takes whole tokens from a bucket kept as (tokens, refilledAt); true when there were enough. */
export function takeTokens(
  bucket: { tokens: number; refilledAt: number },
  rate: { readonly burst: number; readonly perSecond: number },
  now: number,
  cost: number,
  floor = 0,
): boolean {
  const refill = ((now - bucket.refilledAt) / 1000) * rate.perSecond;
  bucket.tokens = Math.min(rate.burst, bucket.tokens + refill);
  bucket.refilledAt = now;
  if (bucket.tokens - cost < floor) return false;
  bucket.tokens -= cost;
  return true;
}
