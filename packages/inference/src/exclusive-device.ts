/** Lets one holder at a time use a device, in the order of asking. */
export class ExclusiveDevice {
  #tail: Promise<void> = Promise.resolve();

  /** Resolves with the way to give it back, which may be called more than once. */
  async acquire(): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#tail;
    this.#tail = promise;
    await before;
    return resolve;
  }
}
