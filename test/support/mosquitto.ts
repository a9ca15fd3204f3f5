import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MeasuredBroker } from "./broker-process.ts";
import { eventually } from "./eventually.ts";
import { forgetPeakRss, readPeakRssBytes, readRssBytes } from "./rss.ts";

/** The path of Mosquitto, where it is installed. */
export function findMosquitto(): string | undefined {
  for (const path of ["/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"])
    try {
      execFileSync(path, ["-h"], { stdio: "ignore" });
      return path;
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOENT") return path;
    }
  return undefined;
}

/** A port of loopback that is free now. */
export async function findFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/**
 * Mosquitto in a process of its own, with its defaults: the only settings are its port, its TLS and that a client's
 * certificate is asked for and names the client, as in the embedded broker. Disposing kills it.
 */
export class MosquittoProcess implements MeasuredBroker {
  readonly port: number;
  readonly #dir: string;
  readonly #child: ChildProcess;
  #log = "";

  private constructor(binary: string, dir: string, port: number) {
    this.port = port;
    this.#dir = dir;
    this.#child = spawn(binary, ["-c", join(dir, "mosquitto.conf")], { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on("data", (text: Buffer) => (this.#log = (this.#log + text.toString()).slice(-10_000)));
  }

  static async start(
    binary: string,
    tls: { readonly key: string; readonly cert: string; readonly ca: string },
  ): Promise<MosquittoProcess> {
    const dir = mkdtempSync(join(tmpdir(), "mosquitto-"));
    const port = await findFreePort();
    for (const [name, text] of Object.entries(tls)) writeFileSync(join(dir, `${name}.pem`), text);
    const config = `listener ${port} 127.0.0.1
cafile ${join(dir, "ca.pem")}
certfile ${join(dir, "cert.pem")}
keyfile ${join(dir, "key.pem")}
require_certificate true
use_identity_as_username true
`;
    writeFileSync(join(dir, "mosquitto.conf"), config);
    // Mosquitto leaves root behind when it has it, and then must still read its files.
    execFileSync("chmod", ["-R", "a+rX", dir]);
    const broker = new MosquittoProcess(binary, dir, port);
    await eventually(
      "mosquitto listens",
      () =>
        new Promise<boolean>((resolve) => {
          if (broker.#child.exitCode !== null) throw new Error(`mosquitto ended: ${broker.#log}`);
          const socket = connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false));
          socket.once("connect", () => socket.destroy());
        }),
    );
    return broker;
  }

  get #pid(): number {
    return this.#child.pid ?? -1;
  }

  async settledBytes(): Promise<number> {
    return readRssBytes(this.#pid);
  }

  resetPeak(): void {
    forgetPeakRss(this.#pid);
  }

  get peakBytes(): number {
    return readPeakRssBytes(this.#pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const gone = once(this.#child, "exit");
      this.#child.kill("SIGKILL");
      await gone;
    }
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
