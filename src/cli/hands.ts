// What a command is given: the hands that do the work (wired by the one place that builds
// everything), and the terminal it speaks through. Commands import neither the daemon nor an
// adapter, so that `detour --help` and `detour status` load next to nothing. Nothing here may pull
// in a library.

import type { Command } from 'commander';
import type { AuditReport } from '../core/audit.ts';
import type { Order } from '../core/direct.ts';
import type {
  DelegationCommand,
  Finding,
  Name,
  NoticeSeverity,
  Outcome,
  Reply,
  Spelling,
} from '../core/model.ts';
import { unrooted } from '../core/name.ts';
import type { StatusView } from '../core/view.ts';
import type { StoredEntry } from '../ports.ts';
import { printJson } from './json.ts';

/** 0 done, 1 the world refused, 2 wrong input, 3 partly done. */
type Exit = Reply['exit'];

/** A switch made from here, without the daemon. */
export interface DirectOrder extends Order {
  readonly configPath: string;
  readonly replica: string | null;
}

/** What one probe from here saw. */
export interface Looked {
  readonly check: string;
  readonly path: string;
  readonly outcome: Outcome;
  readonly reason: string;
  readonly detail: string;
  readonly ms: number;
}

/** A way to tell people; `records` null: of all. */
export interface ListedChannel {
  readonly name: string;
  readonly type: string;
  readonly severity: readonly NoticeSeverity[];
  readonly records: readonly string[] | null;
  readonly quietMs: number;
}

/** How one telling went; `why` null: it got through. */
export interface TriedChannel {
  readonly channel: string;
  readonly state: 'open' | 'closed';
  readonly ms: number;
  readonly why: string | null;
}

/** What is to be replayed, as it stood on the command line; null where it did not. */
export interface SimulateOrder {
  readonly outage: string | null;
  readonly config: string | null;
  readonly as: string | null;
  readonly set: readonly string[];
  readonly sweep: string | null;
  readonly journal: string | null;
  readonly loss: string | null;
  readonly seed: string | null;
  readonly back: boolean;
  readonly evictAfter: string | null;
  readonly parentTtl: string | null;
}

/** What is asked of a journal, and what there is of it. */
export interface ReportOrder {
  readonly ask:
    | { readonly kind: 'objective'; readonly record: string | null }
    | {
        readonly kind: 'incident';
        readonly record: string | null;
        readonly since: string | null;
        readonly until: string | null;
        readonly format: 'md' | 'html';
      }
    | { readonly kind: 'sla'; readonly month: string | null };
  /** Its configuration, as it was named; null: the usual one, if it can be read. */
  readonly config: string | null;
  /** A state directory whose journal is read without the daemon; null: of `told`. */
  readonly state: string | null;
  /** What the daemon told; null where it was not asked. */
  readonly told: {
    readonly status: StatusView;
    readonly entries: readonly (StoredEntry & { readonly replica?: string })[];
    readonly notes: readonly string[];
  } | null;
}

interface Simulated {
  readonly json: object;
  text(paper: { readonly columns: number; readonly colour: boolean }): string;
  /** One HTML page; null where there is nothing to draw. */
  readonly html: (() => string) | null;
}

/** What `detour init` is asked for, as it stood on the command line. */
export interface InitOrder {
  readonly names: readonly string[];
  readonly providers: readonly string[];
  readonly targets: readonly string[];
  readonly cluster: string | null;
  readonly out: string;
  readonly key: string;
  /** The state directory; null: the usual one. */
  readonly state: string | null;
  readonly roots: readonly string[];
  readonly resolvers: readonly string[];
  readonly dnsPort: string | null;
  /** Whether keys are tried by writes that change nothing. */
  readonly tries: boolean;
}

/** Something to be done, and how. */
interface Wanted {
  readonly what: string;
  readonly cure: string;
}

/** What `detour init` asked, saw, wrote and could not find. */
export interface InitReport {
  readonly exit: Exit;
  readonly message: string;
  readonly tookMs: number;
  readonly asked: {
    readonly names: readonly Name[];
    readonly providers: readonly string[];
    /** Whether keys were tried by writes that change nothing. */
    readonly tries: boolean;
  };
  readonly names: readonly {
    readonly typed: Name;
    readonly record: Name;
    readonly takenFor: 'record' | 'public-name';
    readonly why: string;
    readonly chain: readonly Name[];
  }[];
  readonly seen: readonly {
    readonly record: Name;
    readonly provider: string;
    readonly state: string;
    readonly zone: Name | null;
    readonly values: readonly { readonly value: Name; readonly ttl: number }[];
    readonly sentence: string;
  }[];
  readonly delegation: readonly {
    readonly zone: Name;
    readonly names: readonly Name[] | null;
    readonly detail: string;
  }[];
  /** Of keys and zones, by the vendors themselves. */
  readonly findings: readonly (Finding & { readonly provider: string; readonly zone: Name })[];
  readonly written: readonly { readonly file: string; readonly what: string }[];
  readonly missing: readonly Wanted[];
  /** To be looked at, though nothing waits for it. */
  readonly look: readonly Wanted[];
  readonly next: readonly string[];
}

/** With how names are shown to people. */
export type WithSpelling<T> = T & { readonly spelling?: Spelling };

/** What is printed before the day on which nothing of Detour runs. */
export interface Glass {
  readonly cluster: string;
  readonly records: readonly {
    readonly record: Name;
    readonly moves: readonly {
      readonly target: string;
      readonly cname: Name;
      readonly vendors: readonly {
        readonly provider: string;
        readonly title: string;
        readonly ttl: number;
        readonly steps: readonly { readonly text: string; readonly shell?: string }[];
      }[];
    }[];
  }[];
}

/**
 * The work behind commands that do not talk to the daemon. Each loads what it needs when called. A
 * `replica` is which of several this is, where the command line says so; null: as the environment or
 * the configuration says.
 */
export interface Hands {
  readonly version: string;
  /**
   * The daemon, until it is told to end. `json`: log lines as JSON even on a terminal. `newState`:
   * begin anew where the store is gone or damaged.
   */
  run(
    configPath: string,
    options: {
      readonly json: boolean;
      readonly newState: boolean;
      readonly replica: string | null;
    },
  ): Promise<number>;
  /**
   * Reads a configuration and touches nothing else; each text names file, line and cure. Packages
   * that it names are loaded, unless `byName`.
   */
  validate(
    configPath: string,
    options: { readonly byName: boolean; readonly replica: string | null },
  ): Promise<{
    readonly problems: readonly string[];
    readonly warnings: readonly string[];
    /** Who has a vote on which origin, as lines for people; absent where there are problems. */
    readonly votes?: string;
  }>;
  /** What a configuration file and the folders that it includes hold, with its whole path. */
  texts(configPath: string): Promise<object>;
  /** Puts the unit, its user and folders in place for this program; twice is once. */
  installService(dryRun: boolean): Promise<Reply>;
  /** Makes a cluster key in a new file of mode 0600; never over an existing one. */
  makeKey(path: string): Promise<Reply>;
  /**
   * Asks DNS and vendors, changes nothing there, and writes a first configuration and a key into new
   * files. Throws CliError.
   */
  init(order: InitOrder): Promise<WithSpelling<InitReport>>;
  /** The JSON Schema of the configuration, for editors. */
  jsonSchema(): Promise<unknown>;
  /** Switches at the vendors from this process; `tell` takes a line as each thing happens. */
  direct(order: DirectOrder, tell: (line: string) => void): Promise<WithSpelling<Reply>>;
  /** Takes a vendor out of a delegation, or puts it back, from this process. */
  delegate(
    command: DelegationCommand,
    about: { readonly configPath: string; readonly replica: string | null },
  ): Promise<Reply>;
  /** Every check of an origin, a cloud or all (null), once over every path. Throws CliError. */
  probe(
    configPath: string,
    what: string | null,
    replica: string | null,
  ): Promise<readonly Looked[]>;
  /** One check, asked for an answer nobody gives. Throws CliError. */
  drill(configPath: string, check: string, replica: string | null): Promise<readonly Looked[]>;
  /** One audit from this process; a reply says why there is none. */
  audit(configPath: string, replica: string | null): Promise<WithSpelling<AuditReport> | Reply>;
  /** What the journal comes to; see `detour report`. Throws CliError. */
  report(order: ReportOrder): Promise<{ readonly text: string; readonly json: object }>;
  /** How to move records by hand, with nothing of Detour running; touches no network. */
  breakGlass(
    configPath: string,
    wanted: { readonly record: string | null; readonly target: string | null },
    replica: string | null,
  ): Promise<WithSpelling<Glass>>;
  /** Who is told of what, by the configuration. Throws CliError. */
  channels(configPath: string, replica: string | null): Promise<readonly ListedChannel[]>;
  /** Tells one channel, or each (null), of something that opens and closes. Throws CliError. */
  tryChannels(
    configPath: string,
    name: string | null,
    replica: string | null,
  ): Promise<readonly TriedChannel[]>;
  /** Replays an outage or a journal in virtual time; touches no network. */
  simulate(order: SimulateOrder): Promise<Simulated>;
  /** The lab, with its own arguments. */
  lab(argv: readonly string[]): Promise<number>;
}

/** Where a command's text comes from and goes to. */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  /** Sets the exit code; the process ends when nothing is left to do. */
  exit(code: number): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Who is asking, for the journal: the person behind sudo, where there is one. */
  readonly user: string;
  /** Output goes to a terminal. */
  readonly terminal: boolean;
  /** Somebody is there to answer a question. */
  readonly interactive: boolean;
  readonly colour: boolean;
  columns(): number;
  rows(): number;
  confirm(question: string): Promise<boolean>;
  /** Calls once on Ctrl-C or SIGTERM, instead of ending; the returned function undoes it. */
  interrupted(then: () => void): () => void;
}

export interface Cli {
  readonly hands: Hands;
  readonly io: Io;
}

/** Ends a command with a sentence and a code. */
export class CliError extends Error {
  readonly exit: Exit;
  constructor(exit: Exit, message: string) {
    super(message);
    this.exit = exit;
  }
}

export const defaultConfig = '/etc/detour/detour.yaml';
export const defaultSocket = '/var/lib/detour/control.sock';

/**
 * Makes `body` what the command does. A CliError becomes its sentence on stderr (with --json, a
 * document on stdout) and its code; any other error is a fault of Detour's and goes on up.
 */
export function act<Options extends object>(
  cli: Cli,
  command: Command,
  body: (args: readonly string[], options: Options) => Promise<number>,
): void {
  command.action(async () => {
    const options = command.opts<Options & { json?: boolean }>();
    try {
      cli.io.exit(await body(command.processedArgs as string[], options));
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      const { exit, message } = error;
      if (options.json) printJson(cli.io, { exit, message });
      else cli.io.err(`detour: ${unrooted(message)}\n`);
      cli.io.exit(exit);
    }
  });
}

/** What a command that reads a configuration takes, where that is one for several replicas. */
export interface ReplicaOptions {
  readonly replica?: string;
}

export function withReplica(command: Command): Command {
  const what = 'which of the replicas this is (else DETOUR_REPLICA, else as configured)';
  return command.option('--replica <name>', what);
}

/** Examples under a command's help; a line that starts with `$` is one, others explain it. */
export function examples(command: Command, ...lines: string[]): Command {
  const text = lines.map((line) => `  ${line}`).join('\n');
  return command.addHelpText('after', `\nExamples:\n${text}`);
}
