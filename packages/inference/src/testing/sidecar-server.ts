import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createOpenInferenceRuntime,
  type OpenInferenceRuntimeOptions,
  type SidecarRuntime,
} from "../sidecar/open-inference-runtime.ts";
import type { SidecarEvent } from "../sidecar/sidecar-process.ts";

export const oipServerPath = new URL("../../../../test/support/oip-server.ts", import.meta.url).pathname;

/** A runtime on the test server, which is a process of its own, with a folder of its own. */
export class TestSidecar implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "sidecar-"));
  readonly socketPath = join(this.folder, "s");
  readonly serverPath = oipServerPath;
  readonly events: SidecarEvent[] = [];
  readonly runtime: SidecarRuntime;

  constructor(args: readonly string[] = [], options: Partial<OpenInferenceRuntimeOptions> = {}) {
    this.setFault("");
    this.runtime = createOpenInferenceRuntime({
      name: "second",
      command: [
        process.execPath,
        oipServerPath,
        ...["--socket", this.socketPath, "--repository", "{repository}"],
        ...["--fault-file", this.#faultFile],
        ...args,
      ],
      url: `unix:${this.socketPath}`,
      folder: join(this.folder, "runtime"),
      onEvent: (event) => this.events.push(event),
      ...options,
    });
  }

  get #faultFile(): string {
    return join(this.folder, "fault");
  }

  /** What goes wrong from the next request on; empty for nothing. */
  setFault(fault: string): void {
    writeFileSync(this.#faultFile, fault);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.runtime.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
