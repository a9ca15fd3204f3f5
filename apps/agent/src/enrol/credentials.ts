import type { Identity } from "./identity.ts";

/** What this device shows of itself, as it is now: whoever opens a connection reads it then. */
export class Credentials {
  readonly key: string;
  readonly ca: string;
  #cert: string;
  readonly #watchers: ((cert: string) => void)[] = [];

  constructor({ keyPem, caPem, certificatePem }: Pick<Identity, "keyPem" | "caPem" | "certificatePem">) {
    this.key = keyPem;
    this.ca = caPem;
    this.#cert = certificatePem;
  }

  get cert(): string {
    return this.#cert;
  }

  onReplaced(watcher: (cert: string) => void): void {
    this.#watchers.push(watcher);
  }

  replace(cert: string): void {
    this.#cert = cert;
    for (const watcher of this.#watchers) watcher(cert);
  }
}
