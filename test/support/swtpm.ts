import { execFile, execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { eventually } from "./eventually.ts";

const exec = promisify(execFile);

/** Why tests with a TPM cannot run here; null when they can. */
export function whyNoTpm(): string | null {
  for (const tool of ["swtpm", "swtpm_ioctl", "tpm2_createek", "tpm2_activatecredential"])
    try {
      execFileSync(tool, ["--version"], { stdio: "ignore" });
    } catch (error) {
      if ((error as { code?: string }).code === "ENOENT") return `${tool} is not installed`;
    }
  return null;
}

/** Two free ports, the second right after the first, as tpm2-tss expects of a software TPM. */
async function findPorts(): Promise<number> {
  const listen = async (port: number) => {
    const server = createServer();
    server.listen(port, "127.0.0.1");
    await Promise.race([once(server, "listening"), once(server, "error").then(([error]) => Promise.reject(error))]);
    return server;
  };
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const first = await listen(0);
    const { port } = first.address() as AddressInfo;
    const second = await listen(port + 1).catch(() => undefined);
    await Promise.all(
      [first, second].map((server) => new Promise((resolve) => server?.close(resolve) ?? resolve(null))),
    );
    if (second !== undefined) return port;
  }
  throw new Error("no two free ports in a row");
}

/** A real software TPM with a state of its own, which a test owns. */
export class SoftwareTpm implements AsyncDisposable {
  readonly #folder: string;
  readonly #port: number;
  #process: ChildProcess | undefined;

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.#port = port;
  }

  static async start(folder: string): Promise<SoftwareTpm> {
    const tpm = new SoftwareTpm(folder, await findPorts());
    await tpm.start();
    return tpm;
  }

  get tcti(): string {
    return `swtpm:host=127.0.0.1,port=${this.#port}`;
  }

  /** Where an agent's `config.yaml` finds it. */
  get config(): string {
    return JSON.stringify({ tpm: { tcti: this.tcti } });
  }

  async start(): Promise<void> {
    // The path has to be absolute: a software TPM that cannot find its state is in failure mode.
    const state = join(this.#folder, "state");
    mkdirSync(state, { recursive: true });
    const ports = [`type=tcp,port=${this.#port + 1}`, "--server", `type=tcp,port=${this.#port}`];
    this.#process = spawn(
      "swtpm",
      ["socket", "--tpm2", "--tpmstate", `dir=${state}`, "--ctrl", ...ports, "--flags", "not-need-init,startup-clear"],
      { stdio: "ignore" },
    );
    await eventually("the software TPM answers", async () => {
      await this.tool("tpm2_getcap", ["properties-fixed"]);
      return true;
    });
  }

  /** One tool of tpm2-tools, in a folder of the test. */
  async tool(name: string, args: readonly string[]): Promise<string> {
    const env = { ...process.env, TPM2TOOLS_TCTI: this.tcti };
    const { stdout } = await exec(name, [...args], { cwd: this.#folder, env, timeout: 30_000 });
    return stdout;
  }

  async flush(): Promise<void> {
    for (const flag of ["-t", "-l", "-s"]) await this.tool("tpm2_flushcontext", [flag]);
  }

  read(name: string): Buffer {
    return readFileSync(join(this.#folder, name));
  }

  /** Writes the endorsement key's public area to a file; its path. */
  async writeEndorsement(): Promise<string> {
    await this.tool("tpm2_createek", ["-Q", "-G", "rsa", "-c", "ek.ctx", "-u", "ek.pub"]);
    await this.flush();
    return join(this.#folder, "ek.pub");
  }

  /** As a power cycle does. */
  async reboot(): Promise<void> {
    await exec("swtpm_ioctl", ["--tcp", `127.0.0.1:${this.#port + 1}`, "-i"], { timeout: 10_000 });
    await this.tool("tpm2_startup", ["-c"]);
  }

  async stop(): Promise<void> {
    const owned = this.#process;
    this.#process = undefined;
    if (owned === undefined || owned.exitCode !== null || owned.signalCode !== null) return;
    const gone = once(owned, "exit");
    owned.kill("SIGTERM");
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
