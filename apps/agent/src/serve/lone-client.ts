/** Requests of one connection, and of no other, before its client counts as alone. */
const provingRequests = 8;

/**
 * Whether one client has the endpoint to itself: then a run may hold up the thread that reads requests, since nobody else
 * waits for it. A second connection that asks for anything, a health check included, ends that for a while.
 */
export class LoneClient {
  #last: object | null = null;
  #streak = 0;

  /** To be told of every request, in order. `connection` is only compared. */
  note(connection: object): void {
    this.#streak = connection === this.#last ? this.#streak + 1 : 0;
    this.#last = connection;
  }

  /** Forgets a connection that ended, so that its memory does not stay. */
  forget(connection: object): void {
    if (connection === this.#last) this.#last = null;
  }

  isAlone(connection: object): boolean {
    return connection === this.#last && this.#streak >= provingRequests;
  }
}
