// Tells people by mail, over a connection of its own to one SMTP server: the name looked up as
// Detour does it, TLS wanted and verified, one thread for each thing that is told. It must never
// send a password or a notice over a line that anybody may read, and loads nodemailer only where
// mail is configured.

import { createHash } from 'node:crypto';
import { connect, isIP, type Socket } from 'node:net';
import { z } from 'zod';
import { systemLookup } from '../dns/lookup.ts';
import type { Notifier, NotifierContext, NotifierType, Told } from '../kit/extend.ts';
import { duration, hostPort, parseHostPort, secretRef } from '../kit/schema.ts';
import { codeOf, TellError } from './fault.ts';
import { valuesOf } from './template.ts';
import { absoluteFile } from './webhook.ts';

const address = z.string().regex(/^[^\s@<>,;"]{1,64}@[a-z0-9.-]{1,253}$/i, {
  error: 'expected an address, such as a@b.net',
});

const submission = 587;

const shape = z
  .strictObject({
    server: hostPort(submission),
    tls: z
      .enum(['starttls', 'implicit', 'none'])
      .default('starttls')
      .describe('starttls (usual at 587), implicit (465), none (this machine alone)'),
    username: z.string().min(1).max(200).optional().describe('name to log in with'),
    password: secretRef.optional().describe('where its password is'),
    from: address.describe('address that it is sent from'),
    to: z.array(address).min(1).max(50).describe('addresses that it is sent to'),
    ca: absoluteFile.optional().describe('PEM file of who vouches for the server'),
    timeout: duration('100ms', '30s').prefault('20s').describe('limit of one mail'),
  })
  .superRefine(({ tls, server, username, password }, context) => {
    const wrong = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    if ((username === undefined) !== (password === undefined)) {
      wrong('username', 'and password stand together, or neither');
    }
    const host = parseHostPort(server, submission)?.host ?? '';
    if (tls === 'none' && !/^(127\.|::1$|localhost$)/.test(host)) {
      wrong('tls', 'may be none towards this machine alone: give starttls or implicit');
    }
  });

const settings = z.strictObject({ smtp: shape });

type Settings = z.infer<typeof shape>;

export const smtp: NotifierType<z.infer<typeof settings>> = {
  key: 'smtp',
  settings,
  create: ({ smtp }, context) => createMail(smtp, context),
};

function createMail(settings: Settings, context: NotifierContext): Notifier<Told> {
  const { secret } = context;
  const { server, tls, username, password, timeout: timeoutMs } = settings;
  const { host, port } = parseHostPort(server, submission)!;
  const ca = settings.ca === undefined ? {} : { ca: secret(settings.ca) };
  const auth =
    username === undefined || password === undefined
      ? {}
      : { auth: { user: username, pass: secret(password) } };
  // At once, not when the first notice comes: then the disk may be what is wrong.
  const loading = import('nodemailer');
  loading.catch(() => {
    // Said where it is used.
  });
  return {
    async notify(told, signal) {
      const { createTransport } = await loading;
      const deadline = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
      const socket = await connected(host, port, context, deadline);
      const drop = () => socket.destroy();
      deadline.addEventListener('abort', drop, { once: true });
      try {
        const transport = createTransport({
          connection: socket,
          host,
          port,
          secure: tls === 'implicit',
          requireTLS: tls === 'starttls',
          ignoreTLS: tls === 'none',
          tls: {
            ...ca,
            rejectUnauthorized: true,
            ...(isIP(host) === 0 ? { servername: host } : {}),
          },
          ...auth,
          disableFileAccess: true,
          disableUrlAccess: true,
          greetingTimeout: timeoutMs,
          socketTimeout: timeoutMs,
        });
        const { rejected } = await transport.sendMail(mailOf(told, settings, context.wall()));
        if (rejected.length > 0) {
          const count = `${rejected.length} of ${settings.to.length} addresses are refused`;
          throw new TellError(count, { isFinal: true });
        }
      } catch (error) {
        throw faultOf(error, deadline.aborted);
      } finally {
        deadline.removeEventListener('abort', drop);
        socket.destroy();
      }
    },
  };
}

function connected(
  host: string,
  port: number,
  { lookup = systemLookup }: Pick<NotifierContext, 'lookup'>,
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, lookup: lookup.lookup, autoSelectFamily: true });
    const end = (why: string) => {
      socket.destroy();
      reject(new TellError(why));
    };
    const late = () => end('not reached in time');
    const failed = (error: Error) => end(`not reached: ${codeOf(error)}`);
    if (signal.aborted) return late();
    signal.addEventListener('abort', late, { once: true });
    socket.once('error', failed);
    socket.once('connect', () => {
      signal.removeEventListener('abort', late);
      socket.off('error', failed);
      // Until it is handed on, and after it is let go.
      socket.on('error', () => {});
      resolve(socket);
    });
  });
}

/** The server's words may be anybody's: its number is enough. */
function faultOf(error: unknown, isLate: boolean): TellError {
  if (error instanceof TellError) return error;
  if (isLate) return new TellError('no end within its time');
  const { responseCode: code } = (error ?? {}) as { readonly responseCode?: unknown };
  if (typeof code !== 'number') return new TellError(`mail: ${codeOf(error)}`);
  // A password is refused in an outage of whoever knows it as well.
  const isFinal = code >= 500 && codeOf(error) !== 'EAUTH';
  return new TellError(`answer ${code} (${codeOf(error)})`, { isFinal });
}

/**
 * One thread for each key: all its mails refer to a message that was never sent (RFC 5322, 3.6.4) and
 * have one subject, which is what readers of mail go by.
 */
function mailOf(told: Told, { from, to }: Settings, wall: number) {
  const domain = from.slice(from.lastIndexOf('@') + 1);
  const thread = createHash('sha256').update(told.dedup).digest('hex').slice(0, 32);
  const root = `<detour.${thread}@${domain}>`;
  const record = told.shown ?? told.record?.replace(/\.$/, '');
  const [word = '', ...rest] = told.key.split('/').filter((part) => part !== told.record);
  const what = [word, ...rest].join(' ');
  const values = valuesOf(told, null);
  return {
    from,
    to: [...to],
    subject: `[Detour ${told.cluster}] ${record === undefined ? what : `${record}: ${what}`}`,
    text: `${told.state === 'closed' ? 'OVER. ' : ''}${String(values['text'])}\n`,
    messageId: `<${told.id}@${domain}>`,
    references: [root],
    inReplyTo: root,
    date: new Date(wall),
    ...(told.severity === 'page' && told.state !== 'closed' ? { priority: 'high' as const } : {}),
    headers: {
      'Auto-Submitted': 'auto-generated',
      'X-Detour-Cluster': told.cluster,
      'X-Detour-Key': told.key,
      'X-Detour-Severity': told.severity,
      'X-Detour-State': told.state,
    },
  };
}
