import {
  toTopic,
  type CloudEvent,
  type EventData,
  type RunningBuild,
  type SignedCommand,
  type SignedDesiredState,
  type SlotReport,
} from "@fairlead/protocol";
import { enrol, RawDevice, type Harness, type Identity } from "./plane-harness.ts";

/**
 * A device without an agent that does what it is asked: it runs what its desired state names, keeps the build before, goes
 * back to it on command, and says so. Which versions fail on it, and whether it answers, is the test's to say.
 */
export class AnsweringDevice implements AsyncDisposable {
  readonly raw: RawDevice;
  readonly identity: Identity;
  readonly failing = new Set<string>();
  /** Of each command, in the order in which they came. */
  readonly commands: SignedCommand["signed"]["action"][] = [];
  silent = false;
  /** What it gives as the reason of each of its jobs. */
  reason: string | null = null;
  readonly #active = new Map<string, RunningBuild | null>();
  readonly #previous = new Map<string, RunningBuild | null>();
  readonly #attempted = new Set<string>();
  #revision = 0;
  #seq = 0;
  #isOpen = true;

  private constructor(raw: RawDevice, identity: Identity) {
    this.raw = raw;
    this.identity = identity;
    raw.client.on("message", (topic, payload) => {
      if (topic.endsWith("/desired") && payload.length > 0) void this.#while(() => this.answer());
      if (topic.includes("/command/"))
        void this.#while(() => this.#obey(JSON.parse(payload.toString()) as SignedCommand));
    });
  }

  static async enrol(
    harness: Harness,
    name: string,
    labels: Readonly<Record<string, string>> = { site: "test" },
  ): Promise<AnsweringDevice> {
    const identity = await enrol(harness, name, labels);
    const device = new AnsweringDevice(await RawDevice.connect(harness, identity), identity);
    await device.raw.birth();
    return device;
  }

  /** What is said while the connection is taken down is lost, as it is with a device that is switched off. */
  async #while(talk: () => Promise<void>): Promise<void> {
    await talk().catch((error: unknown) => {
      if (this.#isOpen) throw error;
    });
  }

  running(slot = "reader"): string | null {
    return this.#active.get(slot)?.version ?? null;
  }

  /** Takes over what the newest desired state asks for, and reports. */
  async answer(): Promise<void> {
    if (this.silent) return;
    const last = this.raw.received.findLast(({ topic }) => topic.endsWith("/desired"))?.body;
    if (last === undefined) return;
    const { signed } = last as unknown as SignedDesiredState;
    const slots = signed.slots.map((desired): SlotReport => {
      const { slot, release, rolloutId, attempt } = desired;
      const content = release?.signed.content;
      const releaseId = release?.signed.releaseId ?? null;
      const fails = content !== undefined && this.failing.has(content.version);
      const buildDigest = content?.builds[0]?.artifact.digest ?? "";
      const asked =
        content === undefined || releaseId === null
          ? null
          : { releaseId, model: content.model, version: content.version, buildDigest };
      const request = `${slot} ${rolloutId} ${attempt} ${releaseId}`;
      // A request is done once: what is published again changes nothing.
      if (!fails && !this.#attempted.has(request) && asked?.releaseId !== this.#active.get(slot)?.releaseId)
        this.#run(slot, asked);
      this.#attempted.add(request);
      const active = this.#active.get(slot) ?? null;
      const job = { releaseId, rolloutId, attempt, state: fails ? "failed" : "succeeded" } as const;
      return {
        ...{ slot, active, previous: this.#previous.get(slot) ?? null, serving: active !== null, placement: null },
        notServingReason: active === null ? "nothing is installed" : null,
        job: {
          ...{ ...job, code: fails ? "self_test_failed" : null, reason: this.reason, progressRatio: null },
          selfTest: { passed: !fails, latencyP95Us: 1 },
        },
      };
    });
    this.#revision += 1;
    const report = { v: 1, epoch: "epoch0001", revision: this.#revision, tsMs: Date.now(), refusal: null, slots };
    await this.raw.send("reported", { ...report, generation: signed.generation, inferenceEndpoint: null });
  }

  /** One event, in its place of the device's queue. @returns the place */
  async tell(data: EventData): Promise<number> {
    const { name } = this.raw;
    const event: CloudEvent = {
      ...{ specversion: "1.0", id: `event-${this.#seq + 1}`, source: `devices/${name}`, data },
      ...{ type: `io.fairlead.device.${data.kind}.v1`, datacontenttype: "application/json" },
      time: new Date().toISOString(),
    };
    const place = this.#toPlace();
    await this.raw.send("event", { ...place, event });
    return place.seq;
  }

  #run(slot: string, build: RunningBuild | null): void {
    this.#previous.set(slot, this.#active.get(slot) ?? null);
    this.#active.set(slot, build);
  }

  #toPlace() {
    this.#seq += 1;
    return { v: 1, epoch: "epoch0001", seq: this.#seq, tsMs: Date.now(), uptimeMs: 1_000 };
  }

  async #obey({ signed: { commandId, action } }: SignedCommand): Promise<void> {
    this.commands.push(action);
    if (action.kind === "revert" && this.#active.get(action.slot)?.buildDigest === action.buildDigest)
      this.#run(action.slot, this.#previous.get(action.slot) ?? null);
    await this.answer();
    const topic = toTopic({ kind: "reply", tenant: "default", device: this.raw.name, commandId });
    const reply = { ...this.#toPlace(), commandId, outcome: "done", code: null, reason: null };
    await this.raw.client.publishAsync(topic, JSON.stringify(reply), { qos: 1 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOpen = false;
    await this.raw[Symbol.asyncDispose]();
  }
}
