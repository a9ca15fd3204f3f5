export interface Claim {
  readonly text: string;
  readonly held: boolean;
}

/** What the demonstration asserts. It exits 0 only when every claim held. */
export class Claims {
  readonly #claims: Claim[] = [];

  check(text: string, held: boolean): void {
    this.#claims.push({ text, held });
  }

  get all(): readonly Claim[] {
    return this.#claims;
  }

  get held(): boolean {
    return this.#claims.length > 0 && this.#claims.every((claim) => claim.held);
  }
}
