import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { BrokerStats } from "@fairlead/bus/broker";
import { forgetPeakRss, readPeakRssBytes, readRssBytes } from "./rss.ts";

export interface BrokerSetup {
  /** The product behind TLS, the product in its conformance mode, the library alone behind TLS. */
  readonly kind: "product" | "conformance" | "bare";
  readonly tls: { readonly key: string; readonly cert: string; readonly ca: string };
  readonly tenant: string;
  readonly limits: Readonly<Record<string, number>>;
}

export type BrokerQuestion =
  | { readonly kind: "stats" }
  /** Collects garbage. */
  | { readonly kind: "collect" }
  /** From the plane, one after the other. */
  | { readonly kind: "publish"; readonly topic: string; readonly load: Publishing };

export interface Publishing {
  readonly payloadBytes: number;
  readonly count: number;
  readonly qos: 0 | 1;
}

/** A broker whose memory is read from outside. */
export interface MeasuredBroker extends AsyncDisposable {
  readonly port: number;
  /** Resident bytes, after a collection of garbage where there is one. */
  settledBytes(): Promise<number>;
  /** Forgets the peak of resident memory that was so far. */
  resetPeak(): void;
  readonly peakBytes: number;
}

/** A broker in a process of its own; disposing kills it. */
export class BrokerProcess implements MeasuredBroker {
  readonly #child: ChildProcess;
  #port = 0;

  constructor() {
    this.#child = fork(new URL("broker-main.ts", import.meta.url), {
      // Garbage that is not collected yet must not be taken for what a connection costs.
      execArgv: ["--expose-gc", "--max-semi-space-size=1"],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
  }

  async start(setup: BrokerSetup): Promise<this> {
    const { port } = (await this.#ask(setup)) as { port: number };
    this.#port = port;
    return this;
  }

  get port(): number {
    return this.#port;
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  async stats(): Promise<BrokerStats> {
    return ((await this.#ask({ kind: "stats" })) as { stats: BrokerStats }).stats;
  }

  async settledBytes(): Promise<number> {
    await this.#ask({ kind: "collect" });
    return readRssBytes(this.pid);
  }

  resetPeak(): void {
    forgetPeakRss(this.pid);
  }

  get peakBytes(): number {
    return readPeakRssBytes(this.pid);
  }

  async publish(topic: string, load: Publishing): Promise<void> {
    await this.#ask({ kind: "publish", topic, load });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }

  async #ask(question: BrokerQuestion | BrokerSetup): Promise<unknown> {
    const answer = once(this.#child, "message");
    this.#child.send(question);
    const [message] = (await answer) as [unknown];
    return message;
  }
}
