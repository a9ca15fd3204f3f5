import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OidcProvider, toOidcFile } from "./oidc-provider.ts";
import { TestPlane } from "./plane.ts";
import { seedFleet } from "./seed-fleet.ts";

/** A plane whose people sign in at a provider of the test's own, with a fleet at two sites. */
export class OidcPlane implements AsyncDisposable {
  readonly dir = mkdtempSync(join(tmpdir(), "oidc-"));
  readonly plane: TestPlane;
  #provider: OidcProvider | undefined;

  constructor(args: readonly string[] = []) {
    this.plane = new TestPlane({ dir: this.dir, args: ["--oidc", join(this.dir, "oidc.yaml"), ...args] });
  }

  get provider(): OidcProvider {
    if (this.#provider === undefined) throw new Error("the provider was not started");
    return this.#provider;
  }

  async start(): Promise<void> {
    const provider = await OidcProvider.start();
    this.#provider = provider;
    mkdirSync(join(this.dir, "data"), { recursive: true });
    writeFileSync(join(this.dir, "issuer.pem"), provider.ca);
    writeFileSync(join(this.dir, "oidc.yaml"), toOidcFile(provider, "issuer.pem"));
    await seedFleet(join(this.dir, "data"), ["berlin", "munich"]);
    await this.plane.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.plane[Symbol.asyncDispose]();
    await this.#provider?.[Symbol.asyncDispose]();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
