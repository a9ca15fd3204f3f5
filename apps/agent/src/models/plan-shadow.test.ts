import fc from "fast-check";
import { expect, it } from "vitest";
import { applySlotEvent } from "./life-cycle.ts";
import { planSlot, type SlotFacts, type SlotLoad, type Step, type Wish } from "./plan.ts";
import { createSlotRecord, type InstalledBuild, type SlotRecord } from "./slot-record.ts";

const ulid = (n: number) => `rel-${String(n).padStart(26, "0")}`;
const digest = (n: number) => `sha256:${String(n).repeat(64)}`;
const build = (n: number): InstalledBuild => ({
  releaseId: ulid(n),
  model: "digit-reader",
  version: `1.${n}.0`,
  artifact: { digest: digest(n), sizeBytes: 10 },
  golden: null,
  latencyP95Ms: null,
  repeats: 1,
  classification: null,
  providers: ["cpu"],
});
const job = (n: number, attempt: number) => ({ releaseId: ulid(n), rolloutId: null, attempt });
const terms = { share: 0.5, tolerance: { absolute: 0, relative: 0 } };
const toInstall = (n: number, attempt: number): Wish => ({
  kind: "install",
  job: job(n, attempt),
  build: build(n),
  soakMs: 0,
});
const toShadow = (n: number, attempt: number, beside: number | null): Wish => ({
  kind: "shadow",
  job: job(n, attempt),
  build: build(n),
  beside: beside === null ? null : ulid(beside),
  shadow: terms,
});

/** The slot and the serving process, with everything going well. */
class Device {
  record: SlotRecord;
  wish: Wish | null = null;
  loads: SlotLoad[] = [];
  served: string | null = null;
  shadow: string | null = null;
  loaded = 0;
  #fetched: SlotFacts["fetch"] = null;

  constructor(active: number | null) {
    this.record = { ...createSlotRecord("reader"), active: active === null ? null : build(active) };
  }

  plan(): Step {
    const { loads } = this;
    return planSlot(this.record, this.wish, {
      nowMs: 0,
      servingReady: true,
      loads,
      servedLoadId: this.served,
      shadowLoadId: this.shadow,
      stopDelivered: false,
      held: null,
      fetch: this.#fetched,
      retryAtMs: 0,
      trialSinceMs: 0,
    });
  }

  apply(event: Parameters<typeof applySlotEvent>[1]): void {
    this.record = applySlotEvent(this.record, event);
  }

  loseServing(): void {
    this.loads = [];
    this.served = null;
    this.shadow = null;
  }

  #serve(loadId: string): void {
    this.served = loadId;
    if (this.shadow === loadId) this.shadow = null;
    this.apply({ kind: "activated" });
  }

  execute(step: Step): void {
    switch (step.kind) {
      case "begin":
        return this.apply({ ...step, kind: "begun" });
      case "fetch":
        this.#fetched = { digest: step.build.artifact.digest, state: "done" };
        return;
      case "accept-fetched":
        this.#fetched = null;
        return this.apply({ kind: "verified" });
      case "load":
        this.loaded += 1;
        this.loads.push({ loadId: `load-${this.loaded}`, digest: step.build.artifact.digest });
        if (step.role === "candidate") this.apply({ kind: "loaded" });
        return;
      case "self-test":
        return this.apply({ kind: "self-tested", latencyP95Us: 1 });
      case "begin-shadow":
        expect(this.record.job?.selfTest?.passed, "only a proved build becomes a shadow").toBe(true);
        expect(step.loadId).not.toBe(this.served);
        this.shadow = step.loadId;
        return this.apply({ kind: "shadowing" });
      case "begin-trial":
        this.apply({ kind: "activating" });
        return this.#serve(step.loadId);
      case "activate":
        return this.#serve(step.loadId);
      case "unload":
        this.loads = this.loads.filter(({ loadId }) => loadId !== step.loadId);
        if (this.shadow === step.loadId) this.shadow = null;
        return;
      case "confirm":
        return this.apply({ kind: "confirmed" });
      case "drop":
        return this.apply({ kind: "dropped" });
      case "revert":
        return this.apply({ kind: "reverting", verdict: step.verdict });
      case "finish-revert":
        return this.apply({ kind: "reverted" });
      case "adopt":
        return this.apply({ ...step, kind: "adopted" });
      case "end-job":
        return this.apply({ kind: "job-ended", job: step.job, end: step.end });
      default:
        expect.unreachable(`no step ${step.kind} is expected here`);
    }
  }

  settle(): this {
    for (let count = 0; count < 100; count += 1) {
      const step = this.plan();
      if (step.kind === "idle") return this;
      this.execute(step);
    }
    return expect.unreachable("the plan does not arrive");
  }

  ask(wish: Wish): this {
    this.wish = wish;
    return this.settle();
  }

  get versions() {
    const version = (loadId: string | null) => this.loads.find((load) => load.loadId === loadId)?.digest[8];
    return { served: version(this.served), shadow: version(this.shadow) };
  }
}

it("runs a shadow beside the active build, keeps its job open, and brings it back after the serving process was lost", () => {
  const device = new Device(1).ask(toShadow(2, 1, 1));
  expect(device.versions).toEqual({ served: "1", shadow: "2" });
  expect(device.record).toMatchObject({
    active: { version: "1.1.0" },
    previous: null,
    candidate: { phase: "shadowing", shadow: terms },
    job: { state: "soaking", code: "shadowing", selfTest: { passed: true } },
  });
  device.loseServing();
  device.settle();
  expect(device.versions).toEqual({ served: "1", shadow: "2" });
  expect(device.record.job?.state).toBe("soaking");
});

it("promotes a shadow in one step: what is in memory is not loaded again, and the way back stays", () => {
  const device = new Device(1).ask(toShadow(2, 1, 1));
  const { loaded } = device;
  device.ask(toInstall(2, 2));
  expect(device.loaded).toBe(loaded);
  expect(device.versions).toEqual({ served: "2", shadow: undefined });
  expect(device.record).toMatchObject({
    active: { version: "1.2.0" },
    previous: { version: "1.1.0" },
    candidate: null,
  });
});

it("gives a shadow up when the plane takes it back, and touches the active build in nothing", () => {
  const device = new Device(1).ask(toShadow(2, 1, 1)).ask(toInstall(1, 2));
  expect(device.versions).toEqual({ served: "1", shadow: undefined });
  expect(device.loads).toHaveLength(1);
  expect(device.record).toMatchObject({ active: { version: "1.1.0" }, job: { state: "already_installed" } });
});

it.each([
  ["another release runs", 3, 1],
  ["nothing runs", null, 1],
  ["the plane names nothing to compare with", 1, null],
])("refuses a shadow where %s", (_, active, beside) => {
  const device = new Device(active).ask(toShadow(2, 1, beside));
  expect(device.record.job).toMatchObject({ state: "rejected", code: "base_differs" });
  expect(device.record.candidate).toBeNull();
});

it("ends a failed shadow as rolled back and leaves the active build alone", () => {
  const device = new Device(1).ask(toShadow(2, 1, 1));
  device.apply({ kind: "failed", code: "crash", reason: "signal SIGSEGV" });
  device.settle();
  expect(device.record).toMatchObject({ job: { state: "rolled_back", code: "crash" }, candidate: null });
  expect(device.versions).toEqual({ served: "1", shadow: undefined });
});

it("never serves a build that was only asked to be a shadow, whatever is asked and lost in between", () => {
  const wishes = fc.array(
    fc.record({
      release: fc.integer({ min: 1, max: 4 }),
      attempt: fc.integer({ min: 1, max: 2 }),
      shadow: fc.boolean(),
    }),
    { maxLength: 8 },
  );
  fc.assert(
    fc.property(wishes, fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 12 }), (asked, losses) => {
      const device = new Device(1).settle();
      const installed = new Set(["1"]);
      for (const { release, attempt, shadow } of asked) {
        const beside = Number(device.record.active?.releaseId.slice(-1));
        device.wish = shadow ? toShadow(release, attempt, beside) : toInstall(release, attempt);
        if (!shadow) installed.add(String(release));
        for (const steps of losses) {
          for (let count = 0; count < steps; count += 1) {
            const step = device.plan();
            if (step.kind !== "idle") device.execute(step);
            const { served } = device.versions;
            if (served !== undefined) expect(installed).toContain(served);
          }
          device.loseServing();
        }
        device.settle();
        expect(device.versions.served).toBe(device.record.active?.artifact.digest[8]);
        expect(device.versions.shadow).not.toBe(device.versions.served);
      }
    }),
  );
});
