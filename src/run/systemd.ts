// What the supervisor that started this process is told of it: sd_notify(3), in datagrams to the
// socket that NOTIFY_SOCKET names. Node has no such sockets, so libc's are called; the package for
// that is loaded only where there is somebody to tell. It says what is so and nothing that is hoped,
// it never waits, and a word that could not be handed over stops nothing.

/** What it is told. Every call returns at once and none throws. */
export interface Supervision {
  /** The start, or a reload, is over: what is in force is served. */
  ready(): void;
  /** A reload begins; `ready` ends it. */
  reloading(): void;
  /** From here on nothing else is told. */
  stopping(): void;
  /**
   * The decision loop has come round: the one thing that feeds the watchdog, so that a loop which
   * hangs is ended and started anew. `sentence` is made where it is time to tell it.
   */
  beat(sentence: () => string): void;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** How often the sentence is told, where it has changed. */
const sentenceMs = 5000;
/** Of a sentence, in characters: it is one line of `systemctl status`. */
const sentenceMost = 300;

/**
 * null: nobody wants to be told. Where somebody does and cannot be, `complain` is given the sentence
 * that says why, with the cure.
 */
export async function supervise(
  env: Environment,
  complain: (sentence: string) => void,
): Promise<Supervision | null> {
  const { NOTIFY_SOCKET: socket } = env;
  if (!socket) return null;
  let send: (message: string) => number;
  try {
    send = await senderTo(socket);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    complain(
      `systemd (NOTIFY_SOCKET) cannot be told that this runs, and may end it: ${code ?? message}; ` +
        'install Detour with its optional packages, or set Type=exec and WatchdogSec=0 in the unit',
    );
    return null;
  }
  let isOver = false;
  let failed = 0;
  const tell = (...lines: readonly string[]) => {
    if (isOver) return;
    const errno = send(lines.join('\n'));
    if (errno !== 0 && errno !== failed) {
      complain(`systemd (NOTIFY_SOCKET) could not be told ${lines[0]}: errno ${errno}`);
    }
    failed = errno;
  };
  const feedMs = feedEvery(env);
  let [fedAt, toldAt, told] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, ''];
  return {
    ready: () => tell('READY=1'),
    reloading: () => tell('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`),
    stopping() {
      tell('STOPPING=1', 'STATUS=stopping');
      isOver = true;
    },
    beat(sentence) {
      const at = performance.now();
      if (feedMs !== null && at - fedAt >= feedMs) {
        fedAt = at;
        tell('WATCHDOG=1');
      }
      if (at - toldAt < sentenceMs) return;
      toldAt = at;
      const line = sentence().replace(/\s+/g, ' ').slice(0, sentenceMost);
      if (line !== told) tell(`STATUS=${line}`);
      told = line;
    },
  };
}

/** A third of the time after which the supervisor takes silence for death; null: it never does. */
function feedEvery({ WATCHDOG_USEC: usec, WATCHDOG_PID: pid }: Environment): number | null {
  const ms = Number(usec ?? '') / 1000;
  const isOurs = pid === undefined || Number(pid) === process.pid;
  return isOurs && Number.isFinite(ms) && ms > 0 ? ms / 3 : null;
}

/** What is taken of koffi, a way to call libc (its packages for one platform bring no types). */
interface Koffi {
  load(library: null): { func(prototype: string): (...args: unknown[]) => number };
  errno(): number;
}

// The same on x64 and arm64 (socket(2), send(2)).
const [AF_UNIX, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_CLOEXEC] = [1, 2, 0o4000, 0o2000000];
const MSG_NOSIGNAL = 0x4000;

/** Sends one message, at once or not at all; gives 0, or what errno was. */
async function senderTo(path: string): Promise<(message: string) => number> {
  const address = addressOf(path);
  const { default: koffi } = (await import(`@koromix/koffi-linux-${process.arch}`)) as {
    default: Koffi;
  };
  const libc = koffi.load(null);
  const socket = libc.func('int socket(int domain, int type, int protocol)');
  const sendto = libc.func(
    'long sendto(int fd, const void *data, size_t size, int flags, const void *to, uint32_t length)',
  );
  const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new Error(`no socket can be had (errno ${koffi.errno()})`);
  return (message) => {
    const data = Buffer.from(message);
    const sent = sendto(fd, data, data.length, MSG_NOSIGNAL, address, address.length);
    return sent < 0 ? koffi.errno() : 0;
  };
}

/** A sockaddr_un (unix(7)): a path, or a name without a file where an @ begins it. */
function addressOf(path: string): Buffer {
  const isAbstract = path.startsWith('@');
  if (!isAbstract && !path.startsWith('/')) throw new Error(`${path} is neither a path nor @NAME`);
  const name = Buffer.from(isAbstract ? `\0${path.slice(1)}` : `${path}\0`);
  if (name.length > 108) throw new Error('its path is longer than 107 bytes');
  const family = Buffer.alloc(2);
  family.writeUInt16LE(AF_UNIX);
  return Buffer.concat([family, name]);
}
