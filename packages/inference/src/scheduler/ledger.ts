/** What one slot or one client has used, in virtual microseconds: time divided by weight. */
export interface Account {
  readonly key: string;
  weight: number;
  virtualUs: number;
  /** Requests that wait or run. */
  pending: number;
  /** The account of which this one is a part, and which pays as well; null for one that stands alone. */
  readonly over: Account | null;
}

/**
 * Where an account begins that was not known before. At the present is for keys that an operator chose. Whoever makes keys up is
 * put behind all that have something pending: at the present, a new key for each request would be served before everybody
 * who has paid once, for ever.
 */
export type Newcomers = "at-present" | "behind-all";

/**
 * Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): who has the smallest virtual time is served next and is
 * charged what the run took over its weight. Who was idle starts at the present and earns no credit.
 */
export class Ledger {
  readonly #accounts = new Map<string, Account>();
  readonly #maxAccounts: number;
  readonly #newcomers: Newcomers;
  #virtualUs = 0;
  #busy = 0;

  constructor(maxAccounts: number, newcomers: Newcomers = "at-present") {
    this.#maxAccounts = maxAccounts;
    this.#newcomers = newcomers;
  }

  /** Accounts with something pending. */
  get busy(): number {
    return this.#busy;
  }

  /** The account of this key, opened when there is none; the rest is looked at only then. */
  open(key: string, weight: () => number, over: Account | null = null): Account {
    const known = this.#accounts.get(key);
    if (known !== undefined) return known;
    if (this.#accounts.size >= this.#maxAccounts) this.#forgetIdle();
    const virtualUs = this.#newcomers === "behind-all" ? this.#toLatestUs() : this.#virtualUs;
    const account: Account = { key, weight: weight(), virtualUs, pending: 0, over };
    this.#accounts.set(key, account);
    return account;
  }

  #toLatestUs(): number {
    let latestUs = this.#virtualUs;
    for (const { pending, virtualUs } of this.#accounts.values())
      if (pending > 0 && virtualUs > latestUs) latestUs = virtualUs;
    return latestUs;
  }

  get(key: string): Account | undefined {
    return this.#accounts.get(key);
  }

  remove(key: string): void {
    this.#accounts.delete(key);
  }

  enter(account: Account): void {
    if (account.pending === 0) {
      this.#busy += 1;
      if (account.virtualUs < this.#virtualUs) account.virtualUs = this.#virtualUs;
    }
    account.pending += 1;
  }

  leave(account: Account): void {
    account.pending -= 1;
    if (account.pending === 0) this.#busy -= 1;
  }

  /** The account is served: the present moves to its virtual time, and it pays. */
  serve(account: Account, chargeUs: number): void {
    if (account.virtualUs > this.#virtualUs) this.#virtualUs = account.virtualUs;
    this.correct(account, chargeUs);
  }

  /** Difference between what was charged and what a run really took. */
  correct(account: Account, differenceUs: number): void {
    account.virtualUs += differenceUs / account.weight;
  }

  /** Names come from clients: what is idle goes, the longest known first, so that memory stays bounded. */
  #forgetIdle(): void {
    for (const [key, account] of this.#accounts) {
      if (account.pending === 0) this.#accounts.delete(key);
      if (this.#accounts.size < this.#maxAccounts) return;
    }
  }
}

export const minWeight = 0.01;

/** Weights of named shares: a share as it is, and for those without one an equal part of what the others leave. */
export function toWeights(shares: ReadonlyMap<string, number | null>): Map<string, number> {
  let taken = 0;
  let without = 0;
  for (const share of shares.values()) {
    if (share === null) without += 1;
    else taken += share;
  }
  const rest = Math.max(minWeight, (1 - taken) / Math.max(1, without));
  return new Map([...shares].map(([key, share]) => [key, Math.max(minWeight, share ?? rest)]));
}
