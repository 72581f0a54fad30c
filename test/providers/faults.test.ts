// Every error that the vendors document, and every odd answer that their clients were seen to
// mistake: sent to the real adapters in the vendor's own words, in the place of one answer of an
// account that is otherwise healthy, and held against the one table of what it must mean to a
// reader and to a writer. And once more with another text, for a message decides nothing.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer as createHttp, type IncomingMessage, request } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import packet from 'dns-packet';
import { encodeName } from '../../providers/kit/dns-update.ts';
import { retryAfterMaxMs } from '../../providers/kit/fault.ts';
import { rfc2136 } from '../../providers/rfc2136.ts';
import { markerName } from '../../src/core/marker.ts';
import type { Answer, Change, Fault, FaultKind, Name, Reach, Seen } from '../../src/core/model.ts';
import type { Provider } from '../../src/kit/extend.ts';
import { parseHostPort } from '../../src/kit/schema.ts';
import { type Account, rows, zone } from '../parts/accounts.ts';
import { marker, markerText } from '../parts/answers.ts';

const name: Name = `www.${zone}`;

/** `cut` ends the connection after the request has come, `silence` never answers it. */
type Reply =
  | 'cut'
  | 'silence'
  | {
      readonly status: number;
      readonly body: string;
      readonly headers?: Readonly<Record<string, string>>;
    };

interface Case {
  /** The error as the vendor names it, with its status. */
  readonly what: string;
  /** In the vendor's form, with this text where it has one for people. */
  readonly reply: (text: string) => Reply;
  readonly text: string;
  readonly read: FaultKind;
  readonly write: FaultKind;
  /** How far it reaches, to a reader and to a writer. */
  readonly reach: readonly [read: Reach['kind'], write: Reach['kind']];
  /** What Retry-After must have become, in milliseconds. */
  readonly retryAfterMs?: number;
}

/** Words of many other errors: whoever reads messages falls for one of them. */
const misleading =
  'Rate exceeded. Access denied, signature expired. Record already exists but was not found: ' +
  'internal failure, timeout, try again';

const page = '<html><body>Please log in to the network</body></html>';
const html = (status: number): Reply => ({
  status,
  body: page,
  headers: { 'content-type': 'text/html' },
});

type Meaning = readonly [read: FaultKind, write: FaultKind, reach: Reach['kind'] | Case['reach']];
const lost: Meaning = ['unavailable', 'uncertain', 'zone'];
const down: Meaning = ['unavailable', 'unavailable', 'zone'];
const elsewhere: Meaning = ['unavailable', 'unavailable', 'account'];
const slower: Meaning = ['throttled', 'throttled', 'account'];
const busy: Meaning = ['throttled', 'throttled', 'zone'];
/** Refused as a whole, or for what was asked. */
const keys: Meaning = ['auth-suspect', 'auth-suspect', 'account'];
const denied: Meaning = ['auth-suspect', 'auth-suspect', 'zone'];
const refused: Meaning = ['rejected', 'rejected', ['zone', 'record']];
const gone: Meaning = ['rejected', 'rejected', 'zone'];
const ofRecord: Meaning = ['rejected', 'rejected', 'record'];
const overtaken: Meaning = ['rejected', 'conflict', ['zone', 'record']];

function meant([read, write, reach]: Meaning): Pick<Case, 'read' | 'write' | 'reach'> {
  return { read, write, reach: typeof reach === 'string' ? [reach, reach] : reach };
}

/** What befalls every vendor on its way. */
const onTheWay: readonly Case[] = [
  plain('the connection is reset', 'cut', lost),
  plain('no answer in time', 'silence', lost),
  plain('HTTP 200, an HTML page', html(200), lost),
  plain('HTTP 200, nothing', { status: 200, body: '' }, lost),
  plain('HTTP 502, an HTML page', html(502), lost),
  plain('HTTP 504, an HTML page', html(504), lost),
];

function plain(what: string, reply: Reply, meaning: Meaning): Case {
  return { what, reply: () => reply, text: '', ...meant(meaning) };
}

// ---------------------------------------------------------------- Route 53

function aws(status: number, code: string, text: string, meaning: Meaning): Case {
  const reply = (said: string): Reply => ({
    status,
    headers: { 'content-type': 'text/xml' },
    body:
      '<?xml version="1.0"?><ErrorResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/">' +
      `<Error><Type>Sender</Type><Code>${code}</Code><Message>${said}</Message></Error>` +
      '<RequestId>7b0b2c1e-0000-4000-8000-000000000000</RequestId></ErrorResponse>',
  });
  return { what: `HTTP ${status} ${code}`, reply, text, ...meant(meaning) };
}

const oldBatch = (said: string): Reply => ({
  status: 400,
  headers: { 'content-type': 'text/xml' },
  body: `<InvalidChangeBatch><Messages><Message>${said}</Message></Messages></InvalidChangeBatch>`,
});

const route53: readonly Case[] = [
  aws(400, 'Throttling', 'Rate exceeded', slower),
  aws(400, 'ThrottlingException', 'Rate exceeded', slower),
  aws(400, 'PriorRequestNotComplete', 'still processing a prior request', busy),
  aws(400, 'ConcurrentModification', 'Another user submitted a request', down),
  aws(503, 'ServiceUnavailable', 'Service is unavailable', down),
  aws(500, 'InternalFailure', 'We encountered an internal error', lost),
  aws(
    400,
    'InvalidChangeBatch',
    "[Tried to delete resource record set [name='www.fo.test.', type='CNAME'] but the values " +
      'provided do not match the current values, Tried to create resource record set ' +
      "[name='www.fo.test.', type='CNAME'] but it already exists]",
    overtaken,
  ),
  aws(
    400,
    'InvalidChangeBatch',
    '[RRSet of type CNAME with DNS name www.fo.test. is not permitted as it conflicts with other ' +
      'records with the same DNS name in zone fo.test.]',
    overtaken,
  ),
  aws(400, 'InvalidChangeBatch', '[it is protected from changes: ask me first]', overtaken),
  {
    what: 'HTTP 400, InvalidChangeBatch as the root of the document',
    reply: oldBatch,
    text: 'Tried to delete resource record set but it was not found',
    ...meant(overtaken),
  },
  plain('HTTP 400, an HTML page', html(400), overtaken),
  aws(400, 'InvalidInput', 'Invalid XML', refused),
  aws(404, 'NoSuchHostedZone', 'No hosted zone found with ID: Z', gone),
  aws(404, 'NoSuchChange', 'A change with that ID does not exist', gone),
  aws(403, 'AccessDenied', 'User is not authorized to perform this', denied),
  aws(403, 'InvalidClientTokenId', 'The security token is invalid', keys),
  aws(403, 'SignatureDoesNotMatch', 'The request signature we calculated differs', keys),
  aws(403, 'ExpiredToken', 'The security token included is expired', keys),
  ...onTheWay,
  plain('HTTP 503, an HTML page', html(503), lost),
];

// ---------------------------------------------------------------- Cloudflare

function cf(
  status: number,
  code: number | null,
  text: string,
  meaning: Meaning,
  more: { headers?: Record<string, string>; chain?: number; retryAfterMs?: number } = {},
): Case {
  const reply = (said: string): Reply => {
    const error_chain =
      more.chain === undefined ? {} : { error_chain: [{ code: more.chain, message: said }] };
    const errors = code === null ? [] : [{ code, message: said, ...error_chain }];
    return {
      status,
      headers: { 'content-type': 'application/json', ...more.headers },
      body: JSON.stringify({ success: false, errors, messages: [], result: null }),
    };
  };
  const { retryAfterMs } = more;
  const rest = retryAfterMs === undefined ? {} : { retryAfterMs };
  return { what: `HTTP ${status} code ${code ?? 'none'}`, reply, text, ...meant(meaning), ...rest };
}

const json = { 'content-type': 'application/json' };
const cloudflare: readonly Case[] = [
  cf(400, 81_053, 'An A, AAAA, or CNAME record with that host already exists.', overtaken),
  cf(400, 81_054, 'A CNAME record with that host already exists.', overtaken),
  cf(400, 81_057, 'Record already exists.', overtaken),
  cf(400, 81_058, 'An identical record already exists.', overtaken),
  cf(404, 81_044, 'Record does not exist.', overtaken),
  cf(400, 81_044, 'Record does not exist.', overtaken),
  cf(400, 1004, 'DNS Validation Error', refused, { chain: 9300 }),
  cf(400, 1004, 'DNS Validation Error', refused, { chain: 9021 }),
  cf(400, 10_000, 'Authentication error', denied),
  cf(403, 10_000, 'Authentication error', denied),
  cf(403, 9109, 'Unauthorized to access requested resource', denied),
  cf(400, 6003, 'Invalid request headers', keys, { chain: 6111 }),
  cf(400, 9106, 'Missing X-Auth-Key, X-Auth-Email or Authorization headers', keys),
  cf(401, null, '', keys),
  cf(403, null, '', denied),
  cf(429, 971, 'Please wait and consider throttling your request speed', slower, {
    headers: { 'retry-after': '120' },
    retryAfterMs: 120_000,
  }),
  cf(429, null, '', slower, { headers: { 'retry-after': '3600' }, retryAfterMs: retryAfterMaxMs }),
  cf(500, 10_013, 'Unknown error', lost),
  cf(503, 10_013, 'Service unavailable', down),
  ...[520, 521, 522, 523, 524, 525, 530].map((status) =>
    plain(`HTTP ${status}, an HTML page`, html(status), lost),
  ),
  cf(200, 81_058, 'An identical record already exists.', [
    'unavailable',
    'conflict',
    ['zone', 'record'],
  ]),
  cf(200, null, '', lost),
  plain(
    'HTTP 200, JSON cut short',
    { status: 200, body: '{"success":true,"res', headers: json },
    lost,
  ),
  plain('HTTP 302', { status: 302, body: '', headers: { location: '/elsewhere' } }, elsewhere),
  ...onTheWay,
];

// ---------------------------------------------------------------- Alibaba Cloud DNS

function ali(status: number, code: string, text: string, meaning: Meaning): Case {
  const reply = (said: string): Reply => ({
    status,
    headers: json,
    body: JSON.stringify({
      RequestId: '536E9CAD-DB30-4647-AC87-AA5CC38C5382',
      HostId: 'alidns.aliyuncs.com',
      Code: code,
      Message: said,
      Recommend: `https://next.api.aliyun.com/troubleshoot?q=${code}`,
    }),
  });
  return { what: `HTTP ${status} ${code}`, reply, text, ...meant(meaning) };
}

const both: Meaning = ['conflict', 'conflict', 'record'];
const alidns: readonly Case[] = [
  // As good as done if it is read back; here it is not.
  ali(400, 'DomainRecordDuplicate', 'The DNS record already exists.', [
    'conflict',
    'unavailable',
    'record',
  ]),
  ali(400, 'DomainRecordConflict', 'The DNS record conflicts.', both),
  ali(400, 'DomainRecordNotBelongToUser', 'The record does not belong to you.', both),
  ali(400, 'IncorrectDomainUser', 'The domain name belongs to other users.', gone),
  ali(400, 'InvalidDomainName.NoExist', 'The domain does not exist.', gone),
  ali(400, 'DomainRecordLocked', 'The record is locked.', ofRecord),
  ali(400, 'DomainForbidden', 'The domain is forbidden.', gone),
  ali(400, 'RecordForbidden.BlackHole', 'The record is in the black hole.', ofRecord),
  ali(400, 'QuotaExceeded.Record', 'The quota is exceeded.', ofRecord),
  ali(400, 'QuotaExceeded.ARecord', 'The quota is exceeded.', ofRecord),
  ali(400, 'InvalidParameter', 'Specified parameter TTL is not valid', refused),
  ali(400, 'LastOperationNotFinished', 'The last operation is not finished.', busy),
  ali(400, 'Throttling.User', 'Request was denied due to user flow control.', slower),
  ali(400, 'Throttling', 'Request was denied due to flow control.', slower),
  ali(503, 'Throttling.Api', 'Request was denied due to api flow control.', slower),
  ali(500, 'InternalError', 'The request processing has failed.', lost),
  ali(400, 'UnKnownError', 'Unknown error.', lost),
  ali(503, 'ServiceUnavailable', 'The request has failed due to a temporary failure.', down),
  ali(404, 'InvalidAccessKeyId.NotFound', 'Specified access key is not found.', keys),
  ali(400, 'SignatureDoesNotMatch', 'Specified signature is not matched.', keys),
  ali(403, 'Forbidden.RAM', 'User not authorized to operate on the resource.', denied),
  ali(400, 'InvalidTimeStamp.Expired', 'Specified time stamp is expired.', keys),
  plain('HTTP 500, JSON without a code', { status: 500, body: '{"a":1}', headers: json }, lost),
  plain(
    'HTTP 302, JSON without a code',
    { status: 302, body: '{"a":1}', headers: json },
    elsewhere,
  ),
  plain('HTTP 200, JSON of somebody else', { status: 200, body: '{"a":1}', headers: json }, lost),
  ...onTheWay,
];

// ---------------------------------------------------------------- DNSPod

/** All of them come under HTTP 200. */
function tencent(code: string, text: string, meaning: Meaning): Case {
  const reply = (said: string): Reply => ({
    status: 200,
    headers: json,
    body: JSON.stringify({
      Response: { Error: { Code: code, Message: said }, RequestId: '536e9cad-ac87-aa5cc38c5382' },
    }),
  });
  return { what: code, reply, text, ...meant(meaning) };
}

/** The vendor's own words of what it has refused, of which there are many. */
const ofWrite: Meaning = ['rejected', 'rejected', ['zone', 'record']];
const ofAccount: Meaning = ['rejected', 'rejected', 'account'];
const dnspod: readonly Case[] = [
  // It is claimed, by nobody who can be seen.
  tencent('InvalidParameter.DomainRecordExist', 'The record already exists.', [
    'conflict',
    'unavailable',
    'record',
  ]),
  tencent('InvalidParameter.RecordIdInvalid', 'The record ID is incorrect.', both),
  ...['InvalidParameterValue.DomainNotExists', 'InvalidParameter.DomainInvalid']
    .concat(['InvalidParameter.DomainIdInvalid', 'FailedOperation.NotDomainOwner'])
    .map((code) => tencent(code, 'The domain is incorrect.', gone)),
  ...['FailedOperation.DomainIsLocked', 'FailedOperation.DomainIsSpam']
    .concat(['InvalidParameter.DomainNotAllowedModifyRecords', 'InvalidParameter.DomainIsAliaser'])
    .concat(['InvalidParameter.DomainInEffectOrInvalidated'])
    .map((code) => tencent(code, 'It cannot be operated.', gone)),
  ...['RecordLineInvalid', 'RecordTypeInvalid', 'RecordValueInvalid', 'RecordValueLengthInvalid']
    .concat(['SubdomainInvalid', 'MxInvalid', 'InvalidWeight', 'ParamsIllegal', 'ParamInvalid'])
    .concat(['ParamsMissing', 'DnssecAddCnameError', 'RemarkTooLong', 'RemarkLengthExceeded'])
    .concat(['OffsetInvalid', 'ResultMoreThan500', 'DomainNotBeian', 'RecordsEmpty'])
    .map((code) => tencent(`InvalidParameter.${code}`, 'It is incorrect.', ofWrite)),
  ...['InvalidParameter', 'MissingParameter', 'UnknownParameter', 'InvalidAction', 'NoSuchVersion']
    .concat(['InvalidParameterValue.LimitInvalid', 'InvalidParameterValue.DomainGradeInvalid'])
    .concat(['UnsupportedOperation', 'ResourceNotFound', 'FailedOperation.DomainIsVip'])
    .map((code) => tencent(code, 'It is not supported.', ofWrite)),
  tencent('InvalidParameter.CustomMessage', 'A CNAME conflicts with other records.', ofWrite),
  ...['RecordTtlLimit', 'SubdomainRollLimit', 'SubdomainLevelLimit', 'SubdomainWcardLimit']
    .concat(['NsCountLimit', 'AtNsRecordLimit', 'AAAACountLimit', 'SrvCountLimit', 'UrlCountLimit'])
    .concat(['HiddenUrlExceeded'])
    .map((code) => tencent(`LimitExceeded.${code}`, 'It is out of limit.', ofRecord)),
  tencent('OperationDenied.IPInBlacklistNotAllowed', 'The IP is blocked.', ofRecord),
  ...['OperationDenied', 'OperationDenied.NoPermissionToOperateDomain', 'UnauthorizedOperation']
    .concat(['OperationDenied.AccessDenied', 'OperationDenied.DomainOwnerAllowedOnly'])
    .concat(['OperationDenied.NotAdmin', 'AuthFailure.UnauthorizedOperation'])
    .map((code) => tencent(code, 'You are not authorized.', denied)),
  ...['AuthFailure', 'AuthFailure.SecretIdNotFound', 'AuthFailure.InvalidSecretId']
    .concat(['AuthFailure.SignatureFailure', 'AuthFailure.TokenFailure', 'AuthFailure.MFAFailure'])
    .concat(['AuthFailure.InvalidAuthorization', 'AuthFailure.SignatureExpire'])
    .concat(['FailedOperation.LoginAreaNotAllowed', 'FailedOperation.LoginFailed'])
    .concat(['InvalidParameter.LoginTokenNotExists', 'InvalidParameter.RequestIpLimited'])
    .concat(['IpInBlacklist', 'IpNotInWhitelist'].map((word) => `InvalidParameter.${word}`))
    .map((code) => tencent(code, 'The credentials are invalid.', keys)),
  ...['FailedOperation.NotRealNamedUser', 'InvalidParameter.UnrealNameUser']
    .concat(['InvalidParameter.AccountIsBanned', 'InvalidParameter.MobileNotVerified'])
    .map((code) => tencent(code, 'Complete the verification first.', ofAccount)),
  ...['RequestLimitExceeded', 'RequestLimitExceeded.RequestLimitExceeded']
    .concat(['RequestLimitExceeded.BatchTaskLimit', 'RequestLimitExceeded.IPLimitExceeded'])
    .concat(['RequestLimitExceeded.UinLimitExceeded'])
    .concat(['RequestLimitExceeded.GlobalRegionUinLimitExceeded'])
    .map((code) => tencent(code, 'Too many requests.', slower)),
  ...['InternalError', 'InternalError.DbError', 'FailedOperation', 'FailedOperation.UnknowError']
    .concat(['InvalidParameter.OperateFailed', 'ServiceUnavailable', 'ResourceUnavailable'])
    .map((code) => tencent(code, 'Try again later.', lost)),
  plain('HTTP 200, an error without a code', tencent('', '', lost).reply(''), lost),
  plain('HTTP 200, {}', { status: 200, body: '{}', headers: json }, lost),
  plain('HTTP 200, nothing of it', { status: 200, body: '{"Response":{}}', headers: json }, lost),
  plain('HTTP 200, JSON cut short', { status: 200, body: '{"Resp', headers: json }, lost),
  plain(
    'HTTP 200, an event stream',
    { status: 200, body: 'data: {}\n\n', headers: { 'content-type': 'text/event-stream' } },
    lost,
  ),
  plain('HTTP 500, JSON', { status: 500, body: '{"a":1}', headers: json }, lost),
  plain('HTTP 302', { status: 302, body: '', headers: { location: '/elsewhere' } }, elsewhere),
  ...onTheWay,
];

// ---------------------------------------------------------------- the API of PowerDNS

function pdns(status: number, text: string, meaning: Meaning): Case {
  const reply = (said: string): Reply => ({
    status,
    headers: json,
    body: JSON.stringify({ error: said }),
  });
  return { what: `HTTP ${status} "${text}"`, reply, text, ...meant(meaning) };
}

const powerdns: readonly Case[] = [
  plain('HTTP 401, "Unauthorized" as plain text', { status: 401, body: 'Unauthorized' }, keys),
  plain('HTTP 403, plain text', { status: 403, body: 'Forbidden' }, denied),
  plain('HTTP 404, "Not Found" as plain text', { status: 404, body: 'Not Found' }, gone),
  pdns(422, 'RRset www.fo.test. IN CNAME: Conflicts with pre-existing RRset', refused),
  pdns(422, 'RRset www.fo.test. IN CNAME has more than one record', refused),
  pdns(422, "Record www.fo.test./CNAME 'a': Not in expected format", refused),
  pdns(500, 'Internal Server Error', lost),
  plain('HTTP 307', { status: 307, body: '', headers: { location: '/elsewhere' } }, elsewhere),
  ...onTheWay,
];

// ---------------------------------------------------------------- over HTTP

const isWrite: Readonly<Record<string, (asked: IncomingMessage, body: string) => boolean>> = {
  route53: ({ method }) => method === 'POST',
  cloudflare: ({ method }) => method === 'POST',
  alidns: (_, body) => /(^|&)Action=(Add|Update|Delete)/.test(body),
  dnspod: ({ headers }) => /^(Create|Modify|Delete)/.test(String(headers['x-tc-action'])),
  powerdns: ({ method }) => method === 'PATCH',
};

/** Stands between an adapter and its vendor, and answers one kind of request in its place. */
async function between(
  place: string,
  isWriting: (asked: IncomingMessage, body: string) => boolean,
) {
  const { host, port } = parseHostPort(place, null)!;
  const state: { armed: { readonly writes: boolean; readonly reply: Reply } | null; met: number } =
    {
      armed: null,
      met: 0,
    };
  const sockets = new Set<Socket>();
  const server = createHttp((asked, response) => {
    const chunks: Buffer[] = [];
    asked.on('data', (chunk: Buffer) => chunks.push(chunk));
    asked.on('end', () => {
      const body = Buffer.concat(chunks);
      const { armed } = state;
      if (armed === null || armed.writes !== isWriting(asked, body.toString())) {
        const { method, url: path, headers } = asked;
        const passed = request({ host, port, method: method!, path: path!, headers }, (answer) => {
          response.writeHead(answer.statusCode!, answer.headers);
          answer.pipe(response);
        });
        passed.on('error', () => response.destroy());
        passed.end(body);
        return;
      }
      state.met++;
      if (armed.reply === 'silence') return;
      if (armed.reply === 'cut') return void asked.socket.resetAndDestroy();
      const { status, headers, body: text } = armed.reply;
      response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(text) });
      response.end(text);
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    state,
    place: `127.0.0.1:${(server.address() as { port: number }).port}`,
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

const long = (): AbortSignal => AbortSignal.timeout(60_000);

/** Far longer than any answer takes on a busy machine: only silence may end by it. */
const patientMs = 30_000;
/** So short that a busy machine may end other calls by it: what has not met the silence is repeated. */
const hastyMs = 500;

/** Does it until it has met the reply that is meant, which on a busy machine may want more tries. */
async function meeting<T>(met: () => number, work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    const before = met();
    const result = await work();
    if (met() > before) return result;
    assert.ok(tries < 50, 'it never met the reply');
  }
}

interface Met {
  readonly kind: FaultKind;
  readonly reach: Reach;
  readonly fault: Fault;
}

function faultOf(answer: Answer<unknown> | undefined): Met {
  assert.ok(answer?.kind === 'fault', `it was taken for an answer: ${JSON.stringify(answer)}`);
  const { fault, reach } = answer;
  assert.ok(fault.detail.length > 0 && fault.detail.length < 600);
  assert.doesNotMatch(JSON.stringify(fault), /of-this-test/, 'a secret is shown');
  if (reach.kind === 'zone') assert.equal(reach.zone, zone);
  return { kind: fault.kind, reach, fault };
}

async function readOne(provider: Provider): Promise<Answer<Seen> | undefined> {
  return (await provider.read([name], long()))[name];
}

function movedFrom(from: Seen): Change {
  return { name, from, to: { cname: 'b.example.com.', ttl: 300, marker: marker(2) } };
}

const tables: Readonly<Record<string, readonly Case[]>> = {
  route53,
  cloudflare,
  alidns,
  dnspod,
  powerdns,
};

describe('what a vendor says is what it means', { concurrency: 4 }, () => {
  for (const [type, cases] of Object.entries(tables)) {
    const row = rows.find((r) => r.capabilities.type === type)!;
    describe(row.title, { skip: row.skip, concurrency: 1 }, () => overHttp(type, cases, row.start));
  }
});

function overHttp(type: string, cases: readonly Case[], start: () => Promise<Account>): void {
  let account: Account;
  let proxy: Awaited<ReturnType<typeof between>>;
  let patient: Provider;
  let hasty: Provider;
  let from: Seen;

  before(async () => {
    account = await start();
    proxy = await between(account.place, isWrite[type]!);
    patient = account.open({ via: proxy.place, callTimeoutMs: patientMs });
    hasty = account.open({ via: proxy.place, callTimeoutMs: hastyMs });
    await account.edit(name, 'CNAME', 'a.example.com.', 300);
    await account.edit(markerName(name), 'TXT', markerText(1), 300);
    // The SDK of a vendor may take its time to load, once.
    const read = await readOne(patient);
    assert.ok(read?.kind === 'answered', JSON.stringify(read));
    from = read.value;
    while ((await readOne(hasty))?.kind !== 'answered');
  });
  after(async () => {
    patient?.close();
    hasty?.close();
    await proxy?.close();
    await account?.close();
  });

  for (const { what, reply, text, read, write, reach, retryAfterMs } of cases) {
    test(`${what}${text === '' ? '' : ` (${text.slice(0, 40)})`}: ${read} to a reader, ${write} to a writer`, async () => {
      for (const said of text === '' ? [''] : [text, misleading]) {
        const answer = reply(said);
        // What is refused for its zone makes that zone looked for again: here it is known.
        assert.equal((await readOne(patient))?.kind, 'answered');
        const provider = answer === 'silence' ? hasty : patient;
        const met = () => proxy.state.met;
        proxy.state.armed = { writes: false, reply: answer };
        const reading = faultOf(await meeting(met, () => readOne(provider)));
        proxy.state.armed = { writes: true, reply: answer };
        const [written] = await meeting(met, () => provider.write([movedFrom(from)], long()));
        proxy.state.armed = null;
        const writing = faultOf(written);
        assert.equal(reading.kind, read, `reading: ${reading.fault.detail}`);
        assert.equal(writing.kind, write, `writing: ${writing.fault.detail}`);
        assert.deepEqual([reading.reach.kind, writing.reach.kind], reach);
        if (retryAfterMs !== undefined) {
          assert.equal(reading.fault.retryAfterMs, retryAfterMs);
          assert.equal(writing.fault.retryAfterMs, retryAfterMs);
        }
      }
      const after = await readOne(patient);
      assert.ok(after?.kind === 'answered', 'it mends at once');
      assert.deepEqual(after.value.markers, [markerText(1)]);
    });
  }
}

// ---------------------------------------------------------------- RFC 2136

const secret = Buffer.alloc(32, 7);
const codes = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  YXDOMAIN: 6,
  YXRRSET: 7,
  NXRRSET: 8,
  NOTAUTH: 9,
  NOTZONE: 10,
} as const;
type Rcode = keyof typeof codes;

/** How the reply to an update is signed: by the key, not at all, or with a TSIG error in place. */
type Signing = 'signed' | 'forged' | 'unsigned' | 'BADSIG' | 'BADKEY' | 'BADTRUNC' | 'BADTIME';
const tsigErrors = {
  signed: 0,
  forged: 0,
  unsigned: 0,
  BADSIG: 16,
  BADKEY: 17,
  BADTIME: 18,
  BADTRUNC: 22,
};

const updates: readonly (readonly [Rcode, Signing, FaultKind])[] = [
  ['NXRRSET', 'signed', 'conflict'],
  ['YXRRSET', 'signed', 'conflict'],
  ['NXDOMAIN', 'signed', 'conflict'],
  ['YXDOMAIN', 'signed', 'conflict'],
  ['NOTZONE', 'signed', 'rejected'],
  ['NOTAUTH', 'signed', 'rejected'],
  ['REFUSED', 'signed', 'rejected'],
  ['NOTIMP', 'signed', 'rejected'],
  ['FORMERR', 'signed', 'rejected'],
  ['SERVFAIL', 'signed', 'unavailable'],
  ['NOTAUTH', 'BADSIG', 'auth-suspect'],
  ['NOTAUTH', 'BADKEY', 'auth-suspect'],
  ['NOTAUTH', 'BADTIME', 'auth-suspect'],
  ['NOTAUTH', 'BADTRUNC', 'auth-suspect'],
  ['REFUSED', 'unsigned', 'auth-suspect'],
  ['NOTAUTH', 'unsigned', 'auth-suspect'],
  ['NOTIMP', 'unsigned', 'rejected'],
  ['FORMERR', 'unsigned', 'rejected'],
  ['NOERROR', 'unsigned', 'uncertain'],
  ['SERVFAIL', 'unsigned', 'uncertain'],
  ['NXRRSET', 'unsigned', 'uncertain'],
  ['NOERROR', 'forged', 'uncertain'],
  ['NXRRSET', 'forged', 'uncertain'],
  // Taken, and what is read back is neither what was asked for nor what stood there.
  ['NOERROR', 'signed', 'conflict'],
];

const queries: readonly (readonly [Rcode, Signing, FaultKind])[] = [
  ['SERVFAIL', 'signed', 'unavailable'],
  ['REFUSED', 'signed', 'auth-suspect'],
  ['NOTAUTH', 'signed', 'rejected'],
  ['NOTIMP', 'signed', 'rejected'],
  ['FORMERR', 'signed', 'rejected'],
  ['NOTAUTH', 'BADSIG', 'auth-suspect'],
  ['NOTAUTH', 'BADKEY', 'auth-suspect'],
  ['NOTAUTH', 'BADTIME', 'auth-suspect'],
  ['REFUSED', 'unsigned', 'auth-suspect'],
  ['NOTAUTH', 'unsigned', 'auth-suspect'],
  ['NOTIMP', 'unsigned', 'rejected'],
  ['FORMERR', 'unsigned', 'rejected'],
  // What nobody has signed is no reading.
  ['NOERROR', 'unsigned', 'unavailable'],
  ['NXDOMAIN', 'unsigned', 'unavailable'],
  ['SERVFAIL', 'unsigned', 'unavailable'],
  // Or who has another key.
  ['NOERROR', 'forged', 'unavailable'],
];

function numbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(2 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt16BE(value, 2 * i);
  return bytes;
}

/** The reply to an update: its header and its zone alone. */
function plainReply(update: Buffer, rcode: Rcode): Buffer {
  const zoneEnd = 12 + encodeName(zone).length + 4;
  const bare = Buffer.from(update.subarray(0, zoneEnd));
  bare.writeUInt16BE(0x8000 | (5 << 11) | codes[rcode], 2);
  for (const at of [6, 8, 10]) bare.writeUInt16BE(0, at);
  return bare;
}

/** A reply signed as RFC 8945 5.3 has it; written apart from the code under test. */
function signedFor(request: Buffer, bare: Buffer, signing: Signing): Buffer {
  if (signing === 'unsigned') return bare;
  const error = tsigErrors[signing];
  // The request's own MAC: 32 bytes before the original id, the error and an empty other field.
  const requestMac = request.subarray(request.length - 38, request.length - 6);
  const at = (ms: number) => {
    const bytes = Buffer.alloc(6);
    bytes.writeUIntBE(Math.floor(ms / 1000), 0, 6);
    return bytes;
  };
  const time = at(Date.now());
  const other = signing === 'BADTIME' ? at(Date.now() + 3_600_000) : Buffer.alloc(0);
  const [keyName, algorithm] = [encodeName('detour.'), encodeName('hmac-sha256.')];
  const variables = [keyName, numbers(255, 0, 0), algorithm, time, numbers(300, error)];
  const signed = [numbers(32), requestMac, bare, ...variables, numbers(other.length), other];
  const ours = signing === 'forged' ? Buffer.alloc(32, 9) : secret;
  const hmac = createHmac('sha256', ours).update(Buffer.concat(signed)).digest();
  const bears = ['signed', 'forged', 'BADTIME'].includes(signing);
  const mac = bears ? hmac : Buffer.alloc(0);
  const id = request.subarray(0, 2);
  const data = [
    algorithm,
    time,
    numbers(300, mac.length),
    mac,
    id,
    numbers(error, other.length),
    other,
  ];
  const length = data.reduce((sum, part) => sum + part.length, 0);
  const tsig = [keyName, numbers(250, 255, 0, 0, length), ...data];
  bare.writeUInt16BE(1, 10);
  return Buffer.concat([bare, ...tsig]);
}

describe('dynamic update: what a server says is what it means', () => {
  const well = ['NOERROR', 'signed'] as const;
  type Saying = readonly [Rcode, Signing];
  const said: { update: Saying | 'cut' | 'silence'; query: Saying } = { update: well, query: well };
  let updatesMet = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    let buffer = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      buffer = Buffer.concat([buffer, chunk]);
      while (buffer.length >= 2 && buffer.length >= 2 + buffer.readUInt16BE(0)) {
        const end = 2 + buffer.readUInt16BE(0);
        const message = Buffer.from(buffer.subarray(2, end));
        buffer = buffer.subarray(end);
        const isUpdate = ((message[2]! >> 3) & 15) === 5;
        if (isUpdate) updatesMet++;
        if (isUpdate && said.update === 'silence') continue;
        if (isUpdate && said.update === 'cut') return void socket.resetAndDestroy();
        const [rcode, signing] = isUpdate ? (said.update as Saying) : said.query;
        const bare = isUpdate ? plainReply(message, rcode) : answered(message, rcode);
        const reply = signedFor(message, bare, signing);
        socket.write(Buffer.concat([numbers(reply.length), reply]));
      }
    });
  });
  let provider: Provider;
  let hasty: Provider;
  const from: Seen = {
    cnames: [{ value: 'a.example.com.', ttl: 300 }],
    markers: [markerText(1)],
    refusal: null,
    ref: null,
  };

  /** The zone's own SOA, and a CNAME of somebody else at every name but a wildcard's. */
  function answered(message: Buffer, rcode: Rcode): Buffer {
    const { id, questions } = packet.decode(message);
    const asked = questions![0]!;
    const times = { serial: 1, refresh: 3600, retry: 600, expire: 86_400, minimum: 300 };
    const soa = { mname: `ns1.${zone}`, rname: `root.${zone}`, ...times };
    const answers: packet.Answer[] = [];
    if (asked.type === 'CNAME') {
      answers.push({ name: asked.name, type: 'CNAME', ttl: 300, data: 'human.example.org' });
    } else if (asked.type === 'SOA' && `${asked.name}.` === zone) {
      answers.push({ name: asked.name, type: 'SOA', ttl: 300, data: soa });
    }
    return packet.encode({
      type: 'response',
      id,
      flags: packet.AUTHORITATIVE_ANSWER | codes[rcode],
      questions,
      answers: rcode === 'NOERROR' ? answers : [],
    });
  }

  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const settings = rfc2136.settings.parse({
      server: `127.0.0.1:${(server.address() as { port: number }).port}`,
      zone,
      tsig: { name: 'detour.', algorithm: 'hmac-sha256', secret: { env: 'KEY' } },
    });
    const open = (callTimeoutMs: number) =>
      rfc2136.create('own', settings, { secret: () => secret.toString('base64'), callTimeoutMs });
    [provider, hasty] = [open(patientMs), open(hastyMs)];
  });
  after(async () => {
    provider?.close();
    hasty?.close();
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });

  for (const [rcode, signing, kind] of updates) {
    test(`an update is answered ${rcode}, ${signing}: ${kind}`, async () => {
      said.update = [rcode, signing];
      const [written] = await provider.write([movedFrom(from)], long());
      const { fault } = faultOf(written);
      assert.equal(fault.kind, kind, fault.detail);
      if (signing === 'BADTIME') assert.match(fault.detail, /clock skew/);
    });
  }

  for (const how of ['cut', 'silence'] as const) {
    test(`an update meets ${how === 'cut' ? 'a reset' : 'silence'}: uncertain`, async () => {
      said.update = how;
      const one = how === 'silence' ? hasty : provider;
      const [written] = await meeting(
        () => updatesMet,
        () => one.write([movedFrom(from)], long()),
      );
      assert.equal(faultOf(written).kind, 'uncertain');
    });
  }

  for (const [rcode, signing, kind] of queries) {
    test(`a question is answered ${rcode}, ${signing}: ${kind}`, async () => {
      said.query = [rcode, signing];
      const { fault } = faultOf(await readOne(provider));
      said.query = well;
      assert.equal(fault.kind, kind, fault.detail);
    });
  }
});

// ---------------------------------------------------------------- nobody matches on a message

/**
 * Places where a message's text is compared, searched or looked up. `message` is also the word for
 * a DNS message, which is bytes: those are only ever measured and decoded.
 */
function decisionsOnMessages(source: string): string[] {
  const code = source.replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '');
  const text = String.raw`(?:\b[\w$?.!]+\.)?\b(?:[mM]essages?|errorMessage|Recommend|messageOf\([^()]*\)|String\([^()]*[mM]essage[^()]*\))`;
  const searched = String.raw`(?:includes|match|matchAll|startsWith|endsWith|indexOf|search|localeCompare)\(`;
  const looked = [
    String.raw`${text}\s*[!=]==?\s*(?!undefined|null)`,
    String.raw`[!=]==?\s*${text}\b(?!\.)`,
    String.raw`${text}\s*(?:\?\.|!\.|\.)(?:toLowerCase\(\)\.)?${searched}`,
    String.raw`\.(?:test|exec|has)\(\s*${text}\s*[),]`,
    String.raw`switch\s*\(\s*${text}`,
  ];
  return looked.flatMap((pattern) => [...code.matchAll(new RegExp(pattern, 'g'))].map((m) => m[0]));
}

test('no adapter decides anything by the text of a message', () => {
  const folder = join(import.meta.dirname, '..', '..', 'providers');
  const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  assert.ok(sources.length > 10);
  for (const file of sources) {
    assert.deepEqual(decisionsOnMessages(readFileSync(join(folder, file), 'utf8')), [], file);
  }
});

test('the search for such decisions finds each kind of them', () => {
  for (const planted of [
    "if (error.message.includes('Rate exceeded')) return;",
    "if (error.message?.toLowerCase().includes('rate')) return;",
    "if (err.message === 'no answer') return;",
    "if ('no answer' === err.message) return;",
    'if (/not found/.test(error.message)) return;',
    'if (known.has(message)) return;',
    'switch (first.message) {',
    "if (body.Message.startsWith('Specified')) return;",
    "if (messageOf(first).includes('quota')) return;",
    'if (/TTL/.exec(String(data.Message))) return;',
  ]) {
    assert.notDeepEqual(decisionsOnMessages(planted), [], planted);
  }
  assert.deepEqual(decisionsOnMessages("// if (error.message.includes('x'))\nshow(message);"), []);
});
