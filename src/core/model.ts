// The words of the design as types: what is configured, what is observed, what is seen at a
// provider, what is decided. Plain JSON all the way down, so that it can be stored, printed,
// compared and replayed. Nothing here does anything: no function with a side effect may live here.
// Words that others list or count stand as one list, and their type comes from it.
//
// Time. Everything called `...At` is engine time: milliseconds on one axis that starts at the wall
// clock of the first start, runs on the monotonic clock, and carries on across restarts without
// ever going back (design, rule 12). `...Wall` is the wall clock, for people only.
//
// Names. A DNS name inside Detour is lower-case and fully qualified, with its trailing dot.

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [k: string]: Json };

/** A DNS name, lower-case, fully qualified, with the trailing dot: `www.gslb.example.net.` */
export type Name = string;

/**
 * Labels in ASCII, and as whoever configured names with them wrote them: `xn--fsqu00a` and `例子`.
 * Only of what can pass for nothing else.
 */
export type Spelling = Readonly<Record<string, string>>;

// ---------------------------------------------------------------- what is configured

/**
 * Unique in one configuration: `<origin>/<check>` of an origin, `<cloud>:<check>` of a cloud's
 * service, `@<path>:<check>` of a path's reference point.
 */
export type CheckId = string;

/** What a cloud's service check speaks for. */
export type Plane = 'resource' | 'service' | 'control';

/** How many independent groups of paths must agree before a verdict counts. */
export type QuorumRule =
  | { readonly kind: 'majority' }
  | { readonly kind: 'count'; readonly groups: number }
  | { readonly kind: 'all' }
  /** Of the sighted groups; above 0, at most 1. */
  | { readonly kind: 'share'; readonly share: number };

export interface PathConfig {
  /** In a group `REPLICA/PATH`. */
  readonly name: string;
  /** Whose probes leave by it; absent: alone. The others only hear of it. */
  readonly replica?: string;
  /** Paths of one group share a failure domain, and are one vote. */
  readonly group: string;
  /** The cloud it sits in, about which it has no vote. */
  readonly cloud: string | null;
  /** Things known to be up elsewhere: failing all of them makes the path blind. */
  readonly references: readonly CheckId[];
}

export interface CloudConfig {
  readonly name: string;
  readonly checks: readonly CheckId[];
}

export interface CheckConfig {
  readonly id: CheckId;
  readonly role: 'origin' | 'service' | 'reference';
  /** The origin it speaks for; null for the other roles. */
  readonly origin: string | null;
  /** The cloud it speaks for; null for a reference point. */
  readonly cloud: string | null;
  /** Of a service check; null otherwise. */
  readonly plane: Plane | null;
  readonly region: string | null;
  /** The paths that probe it, by name. */
  readonly paths: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Pause between the probes of a confirm burst. */
  readonly confirmMs: number;
  /** Failures in a row that make a verdict `down`. */
  readonly fall: number;
  /** Passes in a row that make a verdict `up`. */
  readonly rise: number;
  /** An advisory check is shown and never moves traffic. */
  readonly advisory: boolean;
  /** Somebody else than the origin is asked: it shows nothing of a path and has its own rate. */
  readonly aside?: true;
  /** A connection is held between its probes, whose end asks for probes at once. */
  readonly hold?: true;
  /** Of its definition, the same on every replica: 16 hex digits of SHA-256. Absent: alone. */
  readonly hash?: string;
}

export interface OriginConfig {
  readonly name: string;
  readonly cloud: string;
  readonly region: string | null;
  readonly checks: readonly CheckId[];
  /** Service checks of clouds without which it is down, whatever its own checks say. */
  readonly needs: readonly CheckId[];
  readonly quorum: QuorumRule;
  /** Probes a second at most, of all its checks and paths; absent: twice what its clocks ask. */
  readonly rate?: number;
}

export interface TargetConfig {
  /** The origin it leads to; also the target's name everywhere (CLI, marker, metrics). */
  readonly origin: string;
  readonly cname: Name;
}

export type Failback =
  | { readonly kind: 'manual' }
  /** `byVendor`: one provider first, which is watched, then the next. */
  | { readonly kind: 'after'; readonly ms: number; readonly byVendor?: boolean };

/**
 * `observe`: decided and journalled, never written. `approve`: decided and shown, done when a person
 * says so. `steer`: done.
 */
export const recordModes = ['observe', 'approve', 'steer'] as const;
export type RecordMode = (typeof recordModes)[number];

/** What is run around a record's switches, as far as it decides. */
export interface HooksConfig {
  /** Before an automatic switch: it is waited for so long, and its silence goes or stays. */
  readonly before: { readonly timeoutMs: number; readonly silence: 'go' | 'stay' } | null;
  /** Once a switch has ended. */
  readonly after: { readonly timeoutMs: number } | null;
}

export interface RecordConfig {
  readonly name: Name;
  readonly mode: RecordMode;
  /** Names that users type and that lead here by CNAME; absent: none was told. */
  readonly names?: readonly Name[];
  /** In order of preference; at least one. */
  readonly targets: readonly TargetConfig[];
  /** Where it is published, each with the TTL in seconds to publish there. */
  readonly publish: readonly {
    readonly provider: string;
    readonly ttl: number;
    /** As the vendor spells them, its default line first; absent: that one alone. */
    readonly lines?: readonly string[];
  }[];
  readonly patienceMs: number;
  /** The most that an origin's history makes of it; absent: a minute, and none where it is 0. */
  readonly patienceMaxMs?: number;
  readonly failback: Failback;
  /** Automatic switches allowed in any one hour. */
  readonly switchesPerHour: number;
  readonly edits: Edits;
  /** Within so long its clients are to be able to follow; absent: nothing is promised. */
  readonly objectiveMs?: number;
  /** In `approve`: when silence goes, counted from the question; null or absent: it stays. */
  readonly approveAfterMs?: number | null;
  /** Absent: none. */
  readonly hooks?: HooksConfig;
  /** A person may take a vendor out of the delegation of its zone: `detour evict`. */
  readonly evictable?: true;
  /** Its TTL is not brought down by itself around moves that are planned; absent: it is. */
  readonly prepares?: false;
  /** Of its definition, the same on every replica: 16 hex digits of SHA-256. Absent: alone. */
  readonly hash?: string;
}

/** What is done about an edit by somebody else: see the table in `edits.ts`. */
export const editsWords = ['hold', 'follow', 'mend'] as const;
export type Edits = (typeof editsWords)[number];

/** What a lane must know of its provider; filled from the adapter's own table. */
export interface LaneConfig {
  readonly provider: string;
  readonly type: string;
  /** Records one read may ask for. */
  readonly readMax: number;
  /** Changes one write may carry. */
  readonly writeMax: number;
  /** Limit of one API call. */
  readonly callTimeoutMs: number;
  /** API calls one read or write may need in the worst case; bounds the whole effect. */
  readonly callsMax: number;
  /** It may be asked to leave markers for later; see Change.settle. */
  readonly settlesLater?: boolean;
  /** The vendor's published quota, as a token bucket of calls; `reserve` is kept for switches. */
  readonly quota: { readonly burst: number; readonly perSecond: number; readonly reserve: number };
}

export interface CoreConfig {
  readonly cluster: string;
  /** The replicas that share eyes and hands; absent: alone. */
  readonly group?: {
    /** This one. */
    readonly self: string;
    /** All of them, this one too, sorted. */
    readonly replicas: readonly string[];
    /** Of the whole configuration, the same on every replica: 16 hex digits of SHA-256. */
    readonly hash?: string;
  };
  /** Markers are signed with a cluster key: only then does a marker give orders. */
  readonly signed: boolean;
  readonly paths: Readonly<Record<string, PathConfig>>;
  readonly clouds: Readonly<Record<string, CloudConfig>>;
  readonly detector: Detector;
  readonly checks: Readonly<Record<CheckId, CheckConfig>>;
  readonly origins: Readonly<Record<string, OriginConfig>>;
  readonly records: Readonly<Record<Name, RecordConfig>>;
  /** How names are shown to people; absent: as they are. Nothing is decided by it. */
  readonly spelling?: Spelling;
  readonly lanes: Readonly<Record<string, LaneConfig>>;
  /** Confirm probes allowed: a token bucket over all checks. */
  readonly confirm: { readonly burst: number; readonly perSecond: number };
  /** Only in a replay: the rules by which its journal was decided; absent: the newest. */
  readonly behaviour?: number;
}

/** How observations become a verdict. */
export type Detector =
  /** `fall` failures or `rise` passes in a row. */
  | { readonly kind: 'counters' }
  /** Evidence is summed; the threshold follows from how rarely it may be wrong about a record. */
  | { readonly kind: 'sequential'; readonly falseSwitchEveryMs: number };

// ---------------------------------------------------------------- what is observed

/**
 * `blind`: the path or the checker itself failed; it says nothing about the origin. `limited`: we were
 * told that we ask too often; that is neither a vote about the origin nor about the path.
 */
export const outcomes = ['pass', 'fail', 'blind', 'limited'] as const;
export type Outcome = (typeof outcomes)[number];

export interface Phases {
  readonly dnsMs?: number;
  readonly connectMs?: number;
  readonly tlsMs?: number;
  readonly firstByteMs?: number;
}

/** How TLS came about: whole, by resuming an earlier session, or whole because that was not taken. */
export const handshakes = ['whole', 'resumed', 'not-taken'] as const;
export type Handshake = (typeof handshakes)[number];

export interface Observation {
  readonly outcome: Outcome;
  readonly startedAt: number;
  readonly endedAt: number;
  /** A closed word for machines: `ok`, `status`, `body`, `timeout`, `refused`, `no-route`, … */
  readonly reason: string;
  /** One English clause for people; never a secret. */
  readonly detail: string;
  readonly phases: Phases;
  /** Whole days until the certificate ends; absent without TLS. */
  readonly certificateDays?: number;
  /** How long we were asked to wait, where it was `limited` and said so. */
  readonly retryAfterMs?: number;
  /** Absent where no TLS came about. */
  readonly handshake?: Handshake;
}

export const verdicts = ['up', 'down', 'unknown'] as const;
export type Verdict = (typeof verdicts)[number];
export type Health = Verdict;

/** What fails of a cloud. */
export const diagnoses = [
  'healthy',
  'origin-down',
  'region-down',
  'cloud-down',
  'auth-down',
  'control-plane-down',
  'paths-disagree',
  'blind',
] as const;
export type Diagnosis = (typeof diagnoses)[number];

// ---------------------------------------------------------------- what is seen and written

export const markerKinds = ['auto', 'operator'] as const;
export type MarkerKind = (typeof markerKinds)[number];

/** The TXT record at the record's `markerName`: public, so it never carries a person's name. */
export interface Marker {
  readonly cluster: string;
  /** At most `MARKER_NUMBER_MAX`, as all its numbers are. */
  readonly epoch: number;
  /** Random id of the switch that wrote it. */
  readonly id: string;
  readonly term: number;
  readonly kind: MarkerKind;
  readonly target: string;
  readonly pinned: boolean;
  /** How long its pin holds, in milliseconds from when it is first seen; null: no pin, or no end. */
  readonly pinMs: number | null;
  /** 128 bits of HMAC-SHA256 as 22 characters of base64url; absent: unsigned. Made at the edge. */
  readonly mac?: string;
}

/** What the signature of a marker's text is worth, as found at the edge. */
export type Proof =
  /** By the current key, for a record that leads to `cname`. */
  | { readonly word: 'genuine'; readonly cname: Name }
  /** By a key that is kept only for what was signed before it was replaced. */
  | { readonly word: 'retired'; readonly cname: Name }
  | { readonly word: 'unsigned' }
  /** By none of our keys, or for something else than what it says. */
  | { readonly word: 'wrong' };

/** Its signature is by the current key: it gives orders. */
export interface Genuine {
  readonly whose: 'genuine';
  readonly marker: Marker;
  /** The CNAME for which it was signed. */
  readonly cname: Name;
}

/** It proves whose the record is, and its epoch. It gives no order and may be overwritten. */
export interface Ours {
  readonly whose: 'ours';
  readonly marker: Marker;
}

/** Told, never followed, never overwritten unasked; it deposes nobody. */
export interface Foreign {
  readonly whose: 'foreign';
  /** The marker of our cluster that it says to be; null for anything else. */
  readonly claims: Marker | null;
  readonly sentence: string;
}

/** What stands in the way of a record at a vendor. */
export type RefusalWord =
  | 'alias'
  | 'apex'
  | 'blocked'
  | 'delegated'
  | 'disabled'
  | 'flattened'
  | 'health-check'
  | 'line'
  | 'locked'
  | 'odd-value'
  | 'other-type'
  | 'proxied'
  | 'secondary'
  | 'synthesized'
  | 'traffic-policy'
  | 'weighted'
  /** None of these: the sentence says it. */
  | 'other';

/** Why a provider may not be written for a record, whatever Detour wants. */
export interface Refusal {
  readonly word: RefusalWord;
  /** What stands there, why Detour will not touch it, and what would cure it. */
  readonly sentence: string;
}

/** The sign of another tool that it manages a record. */
export interface Mark {
  /** With its owner, where the mark names one: `external-dns (owner shop)`. */
  readonly tool: string;
  /** What says so: `the text at cname-www.gslb.example.net.`, `its comment`. */
  readonly by: string;
}

/** What one provider holds for one record. */
export interface Seen {
  /**
   * CNAMEs at the record's name, of every line that stands there; more than one of a line is a
   * conflict. `line` is spelt as the vendor does; absent: its default line.
   */
  readonly cnames: readonly {
    readonly value: Name;
    readonly ttl: number;
    readonly line?: string;
  }[];
  /** Texts at the marker's name, unquoted and joined; more than one is a conflict. */
  readonly markers: readonly string[];
  /** What the edge found of each marker, in their order; absent where nobody looked. */
  readonly proofs?: readonly Proof[];
  readonly refusal: Refusal | null;
  /** The least TTL in seconds that the vendor takes in this zone; absent: it sets none. */
  readonly ttlMin?: number;
  /** Of other tools that manage the record; absent where none was seen, or nobody looked. */
  readonly company?: readonly Mark[];
  /** What the adapter needs to write exactly against this reading (ids, raw values). */
  readonly ref: Json;
}

/** One record's change at one provider: made whole, or not at all, if `from` still stands there. */
export interface Change {
  readonly name: Name;
  readonly from: Seen;
  /** The marker's text is `formatMarker`'s, and nobody else's. */
  readonly to: {
    readonly cname: Name;
    readonly ttl: number;
    readonly marker: Marker;
    /** All of them get the CNAME, before the marker changes; absent: the default line alone. */
    readonly lines?: readonly string[];
  };
  /**
   * The marker may be left as it stands: the same switch comes again for it once others have had
   * their CNAMEs. What claims the record stands until then.
   */
  readonly settle?: 'later';
}

/** One place where an NS set stands: at the apex of its zone, or at a cut that the zone makes. */
export interface NsPlace {
  /** The zone that is written. */
  readonly zone: Name;
  /** Whose NS set it is: the zone itself, or a name below it. */
  readonly name: Name;
}

/** An NS set and the marker beside it, as a provider's API gives them. */
export interface NsSeen {
  /** Those that can be changed. */
  readonly servers: readonly Name[];
  /** Those that the vendor itself adds to every answer, whatever is written. */
  readonly fixed: readonly Name[];
  /** Seconds; null: there is no set. */
  readonly ttl: number | null;
  /** Texts at `delegationMarkerName(place.zone)`. */
  readonly markers: readonly string[];
  /** What the adapter needs to write exactly against this reading. */
  readonly ref: Json;
}

/** A change of an NS set with its marker: made if what was read still stands there. */
export interface NsChange {
  readonly place: NsPlace;
  readonly from: NsSeen;
  readonly to: {
    /** Never empty. */
    readonly servers: readonly Name[];
    readonly markers: readonly string[];
  };
}

export const faultKinds = [
  /** Credentials refused: perhaps wrong, perhaps the vendor's outage. Retried slowly for ever. */
  'auth-suspect',
  'throttled',
  /** What was read no longer stands there: read again and plan anew. */
  'conflict',
  /** The vendor will never take this change as it is. */
  'rejected',
  /** Not applied: the vendor cannot be reached, or says it is failing. */
  'unavailable',
  /** The reply was lost: it may or may not be applied. Read back first. */
  'uncertain',
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** Why a record is not in step at a provider. */
export type ProblemWord =
  | FaultKind
  | RefusalWord
  /** Nothing may be published there until its zone is mended, an audit says. */
  | 'barred'
  | 'double'
  | 'edited'
  | 'foreign'
  /** The target in force is no longer configured. */
  | 'retired'
  | 'rival'
  | 'unmarked';

export interface Fault {
  readonly kind: FaultKind;
  /** One English clause; never a secret, never a URL with a query. */
  readonly detail: string;
  readonly cure?: string;
  /** How long the vendor asked to be left alone. */
  readonly retryAfterMs?: number;
}

export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly fault: Fault };

export const serverAnswerKinds = [
  'cname',
  'nxdomain',
  'nodata',
  'servfail',
  'refused',
  'not-authoritative',
  'timeout',
  'error',
] as const;
export type ServerAnswerKind = (typeof serverAnswerKinds)[number];
/** How far a fault reaches: one record, every record of a zone, or everything in the account. */
export type Reach =
  | { readonly kind: 'record' }
  | { readonly kind: 'zone'; readonly zone: Name }
  | { readonly kind: 'account' };

/** What a provider says of one record. */
export type Answer<T> =
  | { readonly kind: 'answered'; readonly value: T }
  | { readonly kind: 'fault'; readonly fault: Fault; readonly reach: Reach }
  /** Nothing was sent about it: no failure, not even an attempt; it is asked next. */
  | { readonly kind: 'not-asked' };

/** One authoritative server's answer for a record. */
export interface ServerAnswer {
  /** `ADDRESS:PORT`, or the host name where no address was found. */
  readonly server: string;
  readonly answer:
    | { readonly kind: 'cname'; readonly value: Name; readonly ttl: number }
    | {
        readonly kind: Exclude<ServerAnswerKind, 'cname'>;
        readonly detail: string;
      };
  /** Texts at the marker's name; null when they were not asked for or not answered. */
  readonly markers: readonly string[] | null;
  readonly proofs?: readonly Proof[];
  /** What it gives to askers of other lines; absent: it was not asked. */
  readonly lines?: readonly LineAnswer[];
}

/** What one server gives to somebody who asks from an address of one line (RFC 7871). */
export interface LineAnswer {
  readonly line: string;
  /** null: no CNAME came. */
  readonly value: Name | null;
  /** Its answer is for that address, by its own word; false: it may be that of our own line. */
  readonly heeds: boolean;
}

/** What an audit found out about one record's zone at one provider. */
export interface Survey {
  readonly provider: string;
  readonly record: Name;
  /** This provider's share, 0 to 1, of the zone's name servers at its parent; null: not known. */
  readonly share: number | null;
  /** Seconds for which resolvers keep the delegation. */
  readonly parentTtl: number | null;
  /** Seconds for which resolvers keep `there is no such name` (RFC 2308). */
  readonly negativeTtl: number | null;
  /** Why nothing may be published here until it is mended; null when nothing is in the way. */
  readonly bar: string | null;
}

/**
 * How well a target serves the public names of its record, as an audit found. `poor`: it does, and
 * something is about to be wrong, or was never tried; `unfit`: it does not; `unknown`: it could not be
 * seen now.
 */
export const standbyWords = ['fit', 'poor', 'unfit', 'unknown'] as const;

/** What an audit found out about one target of a record that has public names. */
export interface Standby {
  readonly record: Name;
  readonly target: string;
  readonly word: (typeof standbyWords)[number];
  /** What is wrong, or not known, in one clause; empty where nothing is. */
  readonly why: string;
  /** Fewest whole days left of the chains that it shows; null: none was seen. */
  readonly certificateDays: number | null;
}

/** What an audit looked at; docs/audit.md says of each what it means. */
export const findingWords = [
  'accelerated-recovery',
  'bounds',
  'cname',
  'company',
  'credentials',
  'delegation',
  'dependence',
  'dnssec',
  'drill',
  'expiry',
  'fan-in',
  'flattening',
  'in-step',
  'key',
  'left-behind',
  'multi-provider',
  'negative-answer',
  'negative-ttl',
  'never-red',
  'ns-set',
  'objective',
  'parent-ttl',
  'protection',
  'proxied',
  'public-name',
  'reach',
  'record',
  'same-hands',
  'serials',
  'serving',
  'shared-fate',
  'single-provider',
  'standby',
  'standby-certificate',
  'target',
  'ttl',
  'ttl-cost',
  'ttl-floor',
  'untried',
  'write-permission',
  'zone',
  /** None of these: the sentence says it. */
  'other',
] as const;
export type FindingWord = (typeof findingWords)[number];

/** The worst first. `unknown`: it could not be seen now, which is never held against anybody. */
export const severities = ['bad', 'warn', 'unknown', 'good'] as const;
export type Severity = (typeof severities)[number];

/** One thing that an audit looked at. */
export interface Finding {
  readonly word: FindingWord;
  readonly severity: Severity;
  readonly sentence: string;
  readonly cure: string | null;
}

/** Whether a name's whole chain is answered by its authoritative servers (rule 3). */
export type ChainAnswer =
  | { readonly kind: 'answered'; readonly chain: readonly Name[] }
  | { readonly kind: 'broken'; readonly at: Name; readonly detail: string }
  | { readonly kind: 'unknown'; readonly detail: string };

// ---------------------------------------------------------------- what is decided

/** Why a record stays where it is. */
export const stayReasons = [
  'no-lease',
  'store-failed',
  'definitions-differ',
  'frozen',
  'deposed',
  'not-adopted',
  'missing',
  'disagreement',
  'foreign',
  'unreadable',
  'reading',
  'pinned',
  'retired',
  'settling',
  'target-up',
  'failback-manual',
  'failback-waiting',
  'budget-kept',
  'blind',
  'target-unknown',
  'patience',
  'no-target-up',
  'budget-spent',
  'epochs-spent',
  'confirming-target',
  'awaiting-approval',
  'approval-rejected',
  'hook',
  'drilling',
] as const;
export type StayReason = (typeof stayReasons)[number];

/** Why it moves by itself. */
export type MoveReason = 'target-down' | 'drained' | 'failback' | 'drill';
/** Why another target came to be in force. */
export type SwitchReason = MoveReason | 'operator' | 'edited' | 'adopt';

// ---------------------------------------------------------------- what an operator says

export interface Pin {
  readonly target: string;
  readonly reason: string;
  readonly by: string;
  readonly sinceAt: number;
  /** null: until somebody unpins it. */
  readonly untilAt: number | null;
}

/** What every order bears. */
/** What a token of the API may do; each may do what stands before it. */
export const apiRoles = ['read', 'approve', 'operate'] as const;
export type ApiRole = (typeof apiRoles)[number];

interface Said {
  /** Who said it, for the journal; it never leaves the machine in a marker. */
  readonly by: string;
  /** Only to say what it would do; false where it is left out. */
  readonly dryRun?: boolean | undefined;
}

/** A record as it was typed: its name, or what is enough of it to be the only one. */
type Typed = string;

export type Command = Said &
  (
    | {
        readonly kind: 'switch';
        readonly record: Typed;
        readonly target: string;
        readonly reason: string;
        /** How long the pin holds; null: without end. */
        readonly forMs: number | null;
        readonly force: boolean;
      }
    | {
        readonly kind: 'adopt';
        readonly record: Typed;
        readonly target: string;
        readonly create: boolean;
        /** Why; wanted where it overwrites what is no target of the record's. */
        readonly reason?: string | undefined;
      }
    | {
        readonly kind: 'pin';
        readonly record: Typed;
        readonly reason: string;
        readonly forMs: number | null;
      }
    | {
        readonly kind: 'unpin';
        readonly record: Typed;
        readonly reason?: string | undefined;
      }
    | {
        readonly kind: 'drain';
        readonly what: string;
        readonly reason: string;
        /** How long; null or left out: until it is undrained. */
        readonly forMs?: number | null | undefined;
      }
    | { readonly kind: 'undrain'; readonly what: string }
    | {
        readonly kind: 'freeze';
        /** null: all of them. */
        readonly record: Typed | null;
        readonly reason: string;
        /** How long; null or left out: until it is unfrozen. */
        readonly forMs?: number | null | undefined;
      }
    | {
        readonly kind: 'unfreeze';
        readonly record: Typed | null;
        readonly reason?: string | undefined;
      }
    | {
        readonly kind: 'ack';
        readonly record: Typed;
        /** Overrule what somebody else wrote, instead of taking it. */
        readonly reject: boolean;
      }
    /** A decision that waits for a person may go, by its id. */
    | {
        readonly kind: 'approve';
        readonly id: string;
        readonly reason?: string | undefined;
        /** The channel by whose link it was said. */
        readonly link?: string | undefined;
      }
    | {
        readonly kind: 'reject';
        readonly id: string;
        readonly reason?: string | undefined;
        readonly link?: string | undefined;
      }
    | {
        /** A live drill: the record moves to another target that is up, and comes back. */
        readonly kind: 'drill';
        readonly record: Typed;
        /** null: the first of its targets that is not in force. */
        readonly target: string | null;
        /** One provider first, which is watched, then the next. */
        readonly byVendor: boolean;
        /** How long it is held there once every provider serves it. */
        readonly forMs: number;
        /** How long each provider is watched before the next; left out: its TTL. */
        readonly watchMs?: number | undefined;
        readonly reason: string;
        /** Its TTL stays as configured all the time; left out: what is away bears a short one. */
        readonly prepare?: false | undefined;
        /** Nobody typed it: its time had come. */
        readonly asked?: 'schedule' | undefined;
      }
    | {
        /** The TTL comes down everywhere, as far as each vendor lets it, and goes back by itself. */
        readonly kind: 'prepare';
        readonly record: Typed;
        /** Seconds. */
        readonly ttl: number;
        readonly forMs: number;
        readonly reason: string;
      }
    | {
        readonly kind: 'unprepare';
        readonly record: Typed;
        readonly reason?: string | undefined;
      }
    /** A live drill ends before its time: the record comes back at once. */
    | { readonly kind: 'end-drill'; readonly record: Typed }
    /** A drill has shown that a check can fail. */
    | { readonly kind: 'drilled'; readonly check: CheckId }
    /** Whoever acts hands over to another replica. */
    | { readonly kind: 'yield' }
    /** A person has seen that the engine is another, or older: this replica's documents are right. */
    | { readonly kind: 'restored' }
  );

/**
 * A vendor is taken out of the delegation, or put back: a person's order, which no engine carries
 * out. Said twice with one id it is done once.
 */
export type DelegationCommand = Said & {
  readonly kind: 'evict' | 'readmit';
  readonly provider: string;
  /** The zone; null: the only one of which the NS set can be written. */
  readonly zone: Typed | null;
  readonly reason: string;
};

export interface Reply {
  /** The exit code of the design: 0 done, 1 the world refused, 2 wrong input, 3 partly done. */
  readonly exit: 0 | 1 | 2 | 3;
  readonly message: string;
  /** Of a `switch` the id and epoch to follow; of a dry run the plan, a row a record or provider. */
  readonly detail?: Json;
}

// ---------------------------------------------------------------- what is rehearsed

/** What the ways out are tried with, the least first. */
export const drillKinds = ['canary', 'dry', 'live'] as const;
export type DrillKind = (typeof drillKinds)[number];

/** How a drill ended; one that was refused has not begun, and is no result. */
type DrillResult = 'passed' | 'failed' | 'broken-off';

/** The last drill of one kind of one thing: what the store keeps under `drill/KIND/NAME`. */
export interface DrillDoc {
  readonly drill: DrillKind;
  /** Of a canary the provider, of a dry one the origin, of a live one the record. */
  readonly name: string;
  readonly result: DrillResult;
  /** When it ended. */
  readonly at: number;
  /** How long what it measured took; null: it came to nothing. */
  readonly ms: number | null;
  readonly sentence: string;
  /** What was measured; null: more than a document holds. */
  readonly parts: Json;
}

// ---------------------------------------------------------------- the group of replicas

/** What is wrong with a group of replicas: none of them acts by itself meanwhile. */
export const groupWords = [
  /** No majority of the engine answers, as far as this replica can tell. */
  'no-quorum',
  /** It is another than it was, or older: restored from a backup, or emptied. Wants a person. */
  'restored',
  /** It has no room left and takes no more writes. */
  'full',
  /** A document in it does not bear the cluster key's MAC, or is an old one put back. */
  'forged',
  /** It does not take this replica's name and password, or does not let it do what it must. */
  'refused',
] as const;
export type GroupWord = (typeof groupWords)[number];

/** How the group is, as one replica knows it. */
export interface GroupState {
  /** Who acts; null: nobody, or not known. */
  readonly acts: string | null;
  /** Which holding of the lease that is; 0: not known. */
  readonly term: number;
  /** null: well. */
  readonly word: GroupWord | null;
  /** What is wrong and what to do; empty: nothing. */
  readonly sentence: string;
}

// ---------------------------------------------------------------- what is remembered

/** What a line of the journal is about. */
export const entryKinds = [
  'ack',
  'adopt',
  'approval',
  'delegation',
  'deposed',
  'diagnosis',
  'drain',
  'drill',
  'forgotten',
  'fault',
  'freeze',
  'group',
  'health',
  'hold',
  'hook',
  'lane',
  'lease',
  'limit',
  'objective',
  'path',
  'paused',
  'pin',
  'prepare',
  'rejected',
  'release',
  'reload',
  'repair',
  'replica',
  'settled',
  'standby',
  'start',
  'stay',
  'stop',
  'store',
  'switch',
  'taken',
  'turn',
  'undone',
  'undrain',
  'unfreeze',
  'unpin',
  'unreadable',
  'unresolved',
  'verdict',
  'visible',
  'would-switch',
  'written',
  'zone',
] as const;
export type EntryKind = (typeof entryKinds)[number];

/** One line of the journal; `data` holds the facts behind the sentence. */
export interface Entry {
  readonly kind: EntryKind;
  readonly record: Name | null;
  readonly sentence: string;
  readonly data: Json;
}

/**
 * Families of metrics that grow with checks times paths, or records times providers, and may be left
 * out: of a thousand records they are nearly all there is.
 */
export const heavyFamilies = [
  'detour_check_verdict',
  'detour_probes_total',
  'detour_probe_duration_seconds',
  'detour_provider_serves',
  'detour_provider_stage',
  'detour_provider_epoch',
  'detour_line_proven',
  'detour_switch_stage_seconds',
  'detour_objective_predicted_seconds',
] as const;
export type HeavyFamily = (typeof heavyFamilies)[number];

/** How soon somebody should look: at once, in working hours, or when there is time. */
export const noticeSeverities = ['page', 'warn', 'info'] as const;
export type NoticeSeverity = (typeof noticeSeverities)[number];

type NoticeKind = 'switch' | 'needs-person' | 'lagging' | 'recovered' | 'drill';

/** What somebody should be told. */
export interface Notice {
  readonly kind: NoticeKind;
  /** What it is about: the same from when it opens until it closes, and when it opens anew. */
  readonly key: string;
  /**
   * `open`: it wants somebody until it is `closed`, which is said once; `open` again before that: it
   * has become something else. `news`: nothing follows.
   */
  readonly state: 'open' | 'closed' | 'news';
  /** Of a closing: that of what is over. */
  readonly severity: NoticeSeverity;
  readonly record: Name | null;
  readonly sentence: string;
  readonly data: Json;
}
