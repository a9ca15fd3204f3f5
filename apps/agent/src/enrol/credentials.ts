import type { DeviceKey, Identity } from "./identity.ts";

/** What a connection shows: PEM texts. */
export interface Shown {
  readonly key: string;
  readonly cert: string;
}

/**
 * What this device shows of itself, as it is now: whoever opens a connection reads it then. A device whose key is in a TPM
 * has nothing to show until its TPM vouched for a session's key; that key is in memory only.
 */
export class Credentials {
  readonly ca: string;
  #shown: Shown | null;
  readonly #watchers: ((shown: Shown) => void)[] = [];

  constructor({
    key,
    caPem,
    certificatePem,
  }: Pick<Identity, "caPem" | "certificatePem"> & { readonly key: DeviceKey }) {
    this.ca = caPem;
    this.#shown = key.kind === "file" ? { key: key.pem, cert: certificatePem } : null;
  }

  get isThere(): boolean {
    return this.#shown !== null;
  }

  get key(): string {
    return this.#shown?.key ?? "";
  }

  get cert(): string {
    return this.#shown?.cert ?? "";
  }

  onReplaced(watcher: (shown: Shown) => void): void {
    this.#watchers.push(watcher);
  }

  replace(shown: Shown): void {
    this.#shown = shown;
    for (const watcher of this.#watchers) watcher(shown);
  }
}
