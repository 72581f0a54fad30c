// How the answers of an SDK that guards nothing are guarded, at the agent that all its requests go
// through: no answer grows past its bound, none is unfolded, and no redirect is followed. It must
// never alter an answer that is within its bound.

import type { ClientRequest, Agent as HttpAgent, IncomingMessage } from 'node:http';

/** Calls `then` with every request that an agent is given, before it is sent. */
export function eachRequest(agent: HttpAgent, then: (request: ClientRequest) => void): void {
  const open = agent as unknown as { addRequest(request: ClientRequest, ...more: unknown[]): void };
  const add = open.addRequest.bind(agent);
  open.addRequest = (request, ...more) => {
    then(request);
    add(request, ...more);
  };
}

/**
 * Cuts off an answer that grows past so many bytes: SDKs gather without end. A compressed answer was
 * never asked for, and would grow after it was counted: it is not unfolded.
 */
export function boundAnswers(agent: HttpAgent, bytesMax: number): void {
  eachRequest(agent, (request) => {
    request.once('response', (response: IncomingMessage) => {
      delete response.headers['content-encoding'];
      delete response.headers.location;
      let bytes = 0;
      // Counting starts when the reader's own listening does, so that it misses nothing.
      response.once('resume', () => {
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > bytesMax) response.destroy(new Error('the answer is too long'));
        });
      });
    });
  });
}
