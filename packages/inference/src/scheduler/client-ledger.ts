import { Ledger, minWeight, type Account } from "./ledger.ts";

/** No client's name: names have no blank. */
const othersKey = " ";

/**
 * What the clients of a slot have used (hierarchical start-time fair queueing, Goyal, Vin and Cheng 1996, section 4). Who
 * is listed has an account with its share. All others have one together, with what the listed ones leave, and divide it
 * equally: a name costs nothing, so however many names somebody makes up, nobody who is listed gets less, and nobody who
 * keeps a name, or gives none, waits for more than those that are there.
 */
export class ClientLedger {
  readonly #shares = new Ledger(Number.POSITIVE_INFINITY);
  readonly #others: Ledger;

  /** @param maxOthers names without a share that are remembered while they ask nothing */
  constructor(maxOthers: number) {
    this.#others = new Ledger(maxOthers, "behind-all");
  }

  /** Clients with something pending. */
  get busy(): number {
    const others = this.#others.busy;
    return others === 0 ? this.#shares.busy : this.#shares.busy - 1 + others;
  }

  open(name: string, shares: Readonly<Record<string, number>>): Account {
    if (Object.hasOwn(shares, name)) return this.#shares.open(name, () => Math.max(minWeight, shares[name] ?? 0));
    return this.#others.open(
      name,
      () => 1,
      this.#shares.open(othersKey, () => toOthersWeight(shares)),
    );
  }

  enter(client: Account): void {
    if (client.over !== null) this.#others.enter(client);
    this.#shares.enter(client.over ?? client);
  }

  leave(client: Account): void {
    if (client.over !== null) this.#others.leave(client);
    this.#shares.leave(client.over ?? client);
  }

  serve(client: Account, chargeUs: number): void {
    if (client.over !== null) this.#others.serve(client, chargeUs);
    this.#shares.serve(client.over ?? client, chargeUs);
  }

  correct(client: Account, differenceUs: number): void {
    if (client.over !== null) this.#others.correct(client, differenceUs);
    this.#shares.correct(client.over ?? client, differenceUs);
  }
}

/** What the listed clients leave to all others together. */
export function toOthersWeight(shares: Readonly<Record<string, number>>): number {
  return Math.max(minWeight, 1 - Object.values(shares).reduce((sum, share) => sum + share, 0));
}

/** Negative when the left client has used less of its share than the right one. */
export function compareUse(left: Account, right: Account): number {
  if (left.over !== null && left.over === right.over) return left.virtualUs - right.virtualUs;
  return (left.over ?? left).virtualUs - (right.over ?? right).virtualUs;
}

/** The part of the time, 0..1, that is a client's while just these ask; it must be one of them. */
export function toParts(clients: ReadonlySet<Account>): (client: Account) => number {
  const shares = new Map<Account, number>();
  for (const client of clients) {
    const share = client.over ?? client;
    shares.set(share, (shares.get(share) ?? 0) + 1);
  }
  let total = 0;
  for (const share of shares.keys()) total += share.weight;
  return (client) => {
    const share = client.over ?? client;
    return share.weight / total / (shares.get(share) ?? 1);
  };
}
