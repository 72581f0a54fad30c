// Why somebody could not be told. Its message is shown and logged: it names what answered and how,
// and must never bear an address, a key, or a word that somebody else wrote.

interface FaultOptions {
  /** The same would be refused again, however often it is tried. */
  readonly isFinal?: boolean;
  /** For how long the other end asked to be left alone, in milliseconds. */
  readonly retryAfterMs?: number;
}

export class TellError extends Error {
  readonly isFinal: boolean;
  readonly retryAfterMs: number | null;

  constructor(message: string, { isFinal = false, retryAfterMs }: FaultOptions = {}) {
    super(message);
    this.isFinal = isFinal;
    this.retryAfterMs = retryAfterMs ?? null;
  }
}

/** The code of an error of the system, of TLS or of HTTP; its message may hold an address. */
export function codeOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { readonly code?: unknown; readonly name?: unknown };
  const word = typeof code === 'string' ? code : typeof name === 'string' ? name : 'no error';
  return word.replaceAll(/[^\w. -]/g, '').slice(0, 60);
}
