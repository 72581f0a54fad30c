// Deadlines of what is asked over the network. They must never say that nothing has come while it has
// come and waits to be read: an event loop that stood still meets its timers before its sockets.

/**
 * Calls `late` after so many milliseconds, once what had come by then was heard. Cleared in between it
 * may still call: what has ended must not mind.
 */
export function deadline(ms: number, late: () => void): NodeJS.Timeout {
  return setTimeout(() => setImmediate(late), ms);
}
