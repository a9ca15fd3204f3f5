/** What an entry costs beside its topic and its payload. */
const overheadBytes = 256;

export interface RetainedQuotaOptions {
  readonly bytesPerClient: number;
  readonly bytesInAll: number;
}

/** Who keeps how much in the memory of retained messages. A topic counts for whoever wrote it last. */
export class RetainedQuota {
  readonly #options: RetainedQuotaOptions;
  readonly #entries = new Map<string, { readonly owner: string; readonly bytes: number }>();
  readonly #bytesOf = new Map<string, number>();
  #usedBytes = 0;

  constructor(options: RetainedQuotaOptions) {
    this.#options = options;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Why the message must not be retained; undefined counts it. An empty payload clears the topic (MQTT 3.1.1 §3.3.1.3). */
  take(owner: string, topic: string, payloadBytes: number): string | undefined {
    const before = this.#entries.get(topic);
    if (payloadBytes === 0) {
      this.#forget(topic);
      return undefined;
    }
    const bytes = overheadBytes + 2 * topic.length + payloadBytes;
    const own = (this.#bytesOf.get(owner) ?? 0) - (before?.owner === owner ? before.bytes : 0);
    if (own + bytes > this.#options.bytesPerClient)
      return `it would retain more than ${this.#options.bytesPerClient} bytes`;
    if (this.#usedBytes - (before?.bytes ?? 0) + bytes > this.#options.bytesInAll)
      return `all together would retain more than ${this.#options.bytesInAll} bytes`;
    this.#forget(topic);
    this.#entries.set(topic, { owner, bytes });
    this.#count(owner, bytes);
    return undefined;
  }

  #forget(topic: string): void {
    const entry = this.#entries.get(topic);
    if (entry === undefined) return;
    this.#entries.delete(topic);
    this.#count(entry.owner, -entry.bytes);
  }

  #count(owner: string, bytes: number): void {
    const left = (this.#bytesOf.get(owner) ?? 0) + bytes;
    if (left === 0) this.#bytesOf.delete(owner);
    else this.#bytesOf.set(owner, left);
    this.#usedBytes += bytes;
  }
}
