// Why a file cannot be had, in words: a code of the system's means something to those who know it, at
// any hour but the one in which it is read. It says what is so; the cure is for whoever asked.

/** What the system's codes say of a file (errno(3)). */
const words: Readonly<Record<string, string>> = {
  EACCES: 'may not be opened by this user',
  EPERM: 'may not be opened by this user',
  EADDRINUSE: 'is in use',
  EEXIST: 'is there already',
  EIO: 'cannot be read: the disk fails',
  EISDIR: 'is a folder',
  ELOOP: 'is a link that leads in a circle',
  EMFILE: 'could not be opened: this process has too many files open',
  ENFILE: 'could not be opened: this machine has too many files open',
  ENAMETOOLONG: 'has a name that is too long',
  ENOENT: 'is not there',
  ENOEXEC: 'is no program that this machine can run',
  ENOSPC: 'cannot be written: the disk is full',
  ENOTDIR: 'lies in something that is no folder',
  EROFS: 'cannot be written: its file system is read-only',
  ETXTBSY: 'is being written just now',
};

/** `is not there`; for a code that has no words here, `fails with ECODE`. */
export function whyOfFile(error: unknown): string {
  const { code, message } = (error ?? {}) as Partial<NodeJS.ErrnoException>;
  if (code === undefined) return `fails: ${message ?? String(error)}`;
  return Object.hasOwn(words, code) ? words[code]! : `fails with ${code}`;
}
