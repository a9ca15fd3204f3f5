import { compareUse, toParts } from "./client-ledger.ts";
import type { Account } from "./ledger.ts";
import type { Level, Rank } from "./settings.ts";

/** One request on its way through the scheduler. `payload` is the executor's. */
export interface Ticket<Payload> {
  readonly payload: Payload;
  readonly level: Level;
  readonly rank: Rank;
  readonly client: Account;
  readonly rows: number;
  /** Requests with the same key may share a run; null for one that must run alone. */
  joinKey: string | null;
  readonly askedMs: number;
  /** Not begun by then, it is never begun; Infinity for none. */
  readonly expiresMs: number;
  /** How many later and more urgent requests of its client have gone before it. */
  overtaken: number;
}

/** All who give no name are one client: whoever of them is urgent all the time must not keep the others waiting for ever. */
const maxOvertaken = 8;

/** The requests that wait for one model, in the foreground or as batch work; each client's by rank, then as they came, within `maxOvertaken`. */
export class WaitingLine<Payload> {
  readonly #queues = new Map<Account, Ticket<Payload>[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Clients with a request here. */
  get clients(): Iterable<Account> {
    return this.#queues.keys();
  }

  push(ticket: Ticket<Payload>): void {
    const queue = this.#toQueue(ticket.client);
    const mayOvertake = ({ rank, overtaken }: Ticket<Payload>) => rank > ticket.rank && overtaken < maxOvertaken;
    let place = queue.length;
    for (let before = queue.at(-1); before !== undefined && mayOvertake(before); before = queue[place - 1]) {
      before.overtaken += 1;
      place -= 1;
    }
    if (place === queue.length) queue.push(ticket);
    else queue.splice(place, 0, ticket);
    this.#size += 1;
  }

  /** Back to the front of its rank, for a request that was taken and did not run. */
  unshift(ticket: Ticket<Payload>): void {
    const queue = this.#toQueue(ticket.client);
    const place = queue.findIndex(({ rank }) => rank >= ticket.rank);
    queue.splice(place === -1 ? queue.length : place, 0, ticket);
    this.#size += 1;
  }

  #toQueue(client: Account): Ticket<Payload>[] {
    const known = this.#queues.get(client);
    if (known !== undefined) return known;
    const queue: Ticket<Payload>[] = [];
    this.#queues.set(client, queue);
    return queue;
  }

  /** The first request of the client that has used least of its share; of equal clients the more urgent one. */
  head(): Ticket<Payload> | undefined {
    let best: Ticket<Payload> | undefined;
    for (const queue of this.#queues.values()) {
      const first = queue[0];
      if (first === undefined) continue;
      const difference = best === undefined ? -1 : compareUse(first.client, best.client);
      if (difference < 0 || (difference === 0 && first.rank < (best?.rank ?? 0))) best = first;
    }
    return best;
  }

  take(ticket: Ticket<Payload>): void {
    this.#remove(ticket.client, 0);
  }

  hasBelow(client: Account, rank: Rank): boolean {
    const last = this.#queues.get(client)?.at(-1);
    return last !== undefined && last.rank > rank;
  }

  /** The newest of this client's least urgent requests, if they are less urgent than this. */
  takeNewestBelow(client: Account, rank: Rank): Ticket<Payload> | undefined {
    const queue = this.#queues.get(client);
    return queue === undefined || !this.hasBelow(client, rank) ? undefined : this.#remove(client, queue.length - 1);
  }

  /** The newest request of the client that holds most for its part: who is displaced when a place is needed. */
  takeNewestOfGreediest(): Ticket<Payload> | undefined {
    const greediest = this.greediest();
    const queue = greediest === undefined ? undefined : this.#queues.get(greediest);
    if (greediest === undefined || queue === undefined) return undefined;
    return this.#remove(greediest, queue.length - 1);
  }

  greediest(): Account | undefined {
    let best: Account | undefined;
    let most = 0;
    const toPart = toParts(new Set(this.#queues.keys()));
    for (const [account, queue] of this.#queues) {
      const held = queue.length / toPart(account);
      if (held > most) [best, most] = [account, held];
    }
    return best;
  }

  /** Takes out every request whose time is over. */
  takeExpired(nowMs: number): Ticket<Payload>[] {
    const expired: Ticket<Payload>[] = [];
    for (const [account, queue] of this.#queues) {
      const kept = queue.filter((ticket) => ticket.expiresMs > nowMs);
      if (kept.length === queue.length) continue;
      expired.push(...queue.filter((ticket) => ticket.expiresMs <= nowMs));
      if (kept.length === 0) this.#queues.delete(account);
      else this.#queues.set(account, kept);
    }
    this.#size -= expired.length;
    return expired;
  }

  /** Takes out the request with this payload, if it still waits. */
  withdraw(payload: Payload): Ticket<Payload> | undefined {
    for (const [account, queue] of this.#queues) {
      const index = queue.findIndex((ticket) => ticket.payload === payload);
      if (index >= 0) return this.#remove(account, index);
    }
    return undefined;
  }

  *all(): Generator<Ticket<Payload>> {
    for (const queue of this.#queues.values()) yield* queue;
  }

  #remove(account: Account, index: number): Ticket<Payload> | undefined {
    const queue = this.#queues.get(account);
    if (queue === undefined) return undefined;
    const [ticket] = index === 0 ? [queue.shift()] : queue.splice(index, 1);
    if (queue.length === 0) this.#queues.delete(account);
    if (ticket !== undefined) this.#size -= 1;
    return ticket;
  }
}
