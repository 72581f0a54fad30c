// Orders by their ids: said twice, done once. For one daemon alone; a group remembers its own. Its
// memory is bounded: of more orders than it holds, the oldest is forgotten.

import { createHash } from 'node:crypto';
import type { Reply } from '../core/model.ts';

const ORDERS_MAX = 1000;

/** As much of an order as is looked at here. */
interface Order {
  readonly by: string;
  readonly dryRun?: boolean | undefined;
}

type Carry<C extends Order> = (command: C, id: string) => Promise<Reply>;

interface Known {
  readonly said: string;
  readonly reply: Promise<Reply>;
}

/** The same with a memory. An id that comes again with another order is refused. */
export function once<C extends Order>(carry: Carry<C>, most = ORDERS_MAX): Carry<C> {
  const orders = new Map<string, Known>();
  return (command, id) => {
    // A look does nothing, however often.
    if (command.dryRun === true) return carry(command, id);
    const said = digestOf(command);
    const known = orders.get(id);
    if (known !== undefined) {
      return known.said === said ? known.reply : Promise.resolve(another);
    }
    const reply = carry(command, id);
    orders.set(id, { said, reply });
    if (orders.size > most) orders.delete(orders.keys().next().value!);
    // Of what failed by a fault of ours nobody knows whether it was done.
    return reply;
  };
}

const another: Reply = {
  exit: 2,
  message: 'nothing was done: this id was used for another order; give each order its own',
};

/** Whoever says it, and from where, it is the same order. */
function digestOf({ by: _, ...order }: Order): string {
  return createHash('sha256').update(JSON.stringify(order)).digest('base64');
}
