import type { Account } from "./ledger.ts";
import type { Level } from "./settings.ts";

/** One request on its way through the scheduler. `payload` is the executor's. */
export interface Ticket<Payload> {
  readonly payload: Payload;
  readonly level: Level;
  readonly client: Account;
  readonly rows: number;
  /** Requests with the same key may share a run; null for one that must run alone. */
  joinKey: string | null;
  readonly askedMs: number;
  /** Not begun by then, it is never begun; Infinity for none. */
  readonly expiresMs: number;
}

/** The requests of one level that wait for one model, first come first served within each client. */
export class WaitingLine<Payload> {
  readonly #queues = new Map<Account, Ticket<Payload>[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(ticket: Ticket<Payload>): void {
    const queue = this.#queues.get(ticket.client);
    if (queue === undefined) this.#queues.set(ticket.client, [ticket]);
    else queue.push(ticket);
    this.#size += 1;
  }

  /** Back to the front, for a request that was taken and did not run. */
  unshift(ticket: Ticket<Payload>): void {
    const queue = this.#queues.get(ticket.client);
    if (queue === undefined) this.#queues.set(ticket.client, [ticket]);
    else queue.unshift(ticket);
    this.#size += 1;
  }

  /** The first request of the client that has used least of its share. */
  head(): Ticket<Payload> | undefined {
    let best: Ticket<Payload> | undefined;
    for (const [account, queue] of this.#queues) {
      if (best === undefined || account.virtualUs < best.client.virtualUs) best = queue[0];
    }
    return best;
  }

  take(ticket: Ticket<Payload>): void {
    this.#remove(ticket.client, 0);
  }

  /** Waiting requests of one client. */
  countOf(client: Account): number {
    return this.#queues.get(client)?.length ?? 0;
  }

  /** The newest request of the client that holds most for its weight: who is displaced when a place is needed. */
  takeNewestOfGreediest(): Ticket<Payload> | undefined {
    const greediest = this.greediest();
    const queue = greediest === undefined ? undefined : this.#queues.get(greediest);
    if (greediest === undefined || queue === undefined) return undefined;
    return this.#remove(greediest, queue.length - 1);
  }

  greediest(): Account | undefined {
    let best: Account | undefined;
    let most = 0;
    for (const [account, queue] of this.#queues) {
      const held = queue.length / account.weight;
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
