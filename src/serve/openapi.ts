// The API's description (OpenAPI 3.1), made of the table of operations and of the shapes that
// requests are read by. Loaded when somebody asks for it. It must never name what is not served.

import { z } from 'zod';
import { createDocument, type ZodOpenApiOperationObject } from 'zod-openapi';
import { loginSchema, sessionSchema } from './board.ts';
import { type Operation, operations, replySchema } from './operations.ts';
import { orderId } from './orders.ts';
import { sessionEndPath, sessionPath } from './sessions.ts';

/** What the door itself may answer, whatever is asked. */
const refusals: Readonly<Record<number, string>> = {
  400: 'what was asked is not as it must be; or it names what is not configured',
  401: 'no token, or one that is not known',
  403: 'the token has not got the role; or by a cookie, without the page’s word',
  404: 'there is no page here',
  405: 'the path takes another method: see the header Allow',
  409: 'the world refused it, or nobody knows yet whether it was done',
  413: 'the body is too long',
  415: 'the body is no JSON',
  421: 'the header Host names another place',
  429: 'too many refusals: later',
  500: 'the daemon failed at this request: its log says more',
  503: 'too many look on already: later',
};
const always = [400, 401, 403, 405, 421, 429];

const page = { 'text/html': { schema: z.string() } };

const linkAnswers = {
  '200': { description: 'a page for a person', content: page },
  '400': { description: 'the button was not pressed, or the header Host is wrong', content: page },
  '404': { description: 'no such link', content: page },
  '405': { description: 'the path takes another method', content: page },
  '409': { description: 'the decision was refused, or waits no longer', content: page },
  '410': { description: 'the link was used, or has ended', content: page },
  '413': { description: 'the body is too long', content: page },
  '415': { description: 'the body is no form', content: page },
  '421': { description: 'the header Host names another place', content: page },
  '429': { description: 'asked too often: later', content: page },
};

const linkPath = {
  path: z.object({ token: z.string().regex(/^[0-9A-Za-z_.-]{1,1000}$/) }),
};

/** The document; `version` is Detour's own. */
export function openApi(version: string): object {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {};
  for (const [name, operation] of Object.entries(operations)) {
    const { path, method } = operation;
    paths[path] = { ...paths[path], [method.toLowerCase()]: described(name, operation) };
  }
  paths['/v1/link/{token}'] = {
    get: {
      operationId: 'link',
      summary: 'The page of a signed link: it shows a decision and does nothing.',
      security: [],
      requestParams: linkPath,
      responses: linkAnswers,
    },
    post: {
      operationId: 'press',
      summary: 'The button of that page: one decision, once.',
      security: [],
      requestParams: linkPath,
      requestBody: {
        required: true,
        content: {
          'application/x-www-form-urlencoded': {
            schema: z.strictObject({ press: z.literal('yes') }),
          },
        },
      },
      responses: linkAnswers,
    },
  };
  Object.assign(paths, sessionPaths());
  return createDocument({
    openapi: '3.1.0',
    info: { title: 'Detour', version: version || '0', license: { name: 'Apache-2.0' } },
    security: [{ token: [] }, { session: [], word: [] }],
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer' },
        session: { type: 'apiKey', in: 'cookie', name: '__Host-detour-PORT' },
        word: { type: 'apiKey', in: 'header', name: 'x-detour-csrf' },
      },
    },
    paths,
  });
}

/** How the status page is let in. */
function sessionPaths(): Record<string, Record<string, ZodOpenApiOperationObject>> {
  const done = {
    description: 'who is let in by the cookie now',
    content: { 'application/json': { schema: sessionSchema } },
  };
  const answers = (...said: readonly number[]) => ({
    '200': done,
    ...Object.fromEntries(said.map((status) => [String(status), refusalOf(status)])),
  });
  return {
    [sessionPath]: {
      get: {
        operationId: 'session',
        summary: 'Who is let in by the cookie of the request.',
        security: [],
        responses: answers(400, 404, 405, 421, 429, 500),
      },
      post: {
        operationId: 'login',
        summary: 'Lets a browser in for a token that it shows once: the answer sets a cookie.',
        security: [],
        requestBody: {
          required: true,
          content: { 'application/json': { schema: loginSchema } },
        },
        responses: answers(400, 401, 403, 404, 405, 413, 415, 421, 429, 500),
      },
    },
    [sessionEndPath]: {
      post: {
        operationId: 'logout',
        summary: 'Ends the session of the cookie.',
        security: [{ session: [], word: [] }],
        responses: answers(400, 403, 404, 405, 421, 429, 500),
      },
    },
  };
}

function refusalOf(status: number) {
  return {
    description: refusals[status]!,
    content:
      status === 500
        ? { 'text/plain': { schema: z.string() } }
        : { 'application/json': { schema: replySchema } },
  };
}

function described(name: string, operation: Operation): ZodOpenApiOperationObject {
  const { role, about, query, body, once, answer, streams } = operation;
  const sort = streams === true ? 'text/event-stream' : 'application/json';
  const said = [...new Set([...always, ...operation.refusals, 500])].toSorted((a, b) => a - b);
  const header = once ? z.object({ 'idempotency-key': orderId.optional() }) : null;
  return {
    operationId: name,
    summary: about,
    description: `Wants the role \`${role}\`.`,
    ...(query === null && header === null
      ? {}
      : {
          requestParams: {
            ...(query === null ? {} : { query }),
            ...(header === null ? {} : { header }),
          },
        }),
    ...(body === null
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: body } } } }),
    responses: {
      '200': { description: 'done', content: { [sort]: { schema: answer } } },
      ...Object.fromEntries(said.map((status) => [String(status), refusalOf(status)])),
    },
  };
}
