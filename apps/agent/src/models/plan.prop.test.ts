import { isJobEnd } from "@fairlead/protocol";
import fc from "fast-check";
import { expect, it } from "vitest";
import { isToSwitch } from "./choice/switch-build.ts";
import { applySlotEvent } from "./life-cycle.ts";
import { planSlot, type SlotFacts, type SlotLoad, type Step, type Wish } from "./plan.ts";
import { createSlotRecord, slotRecordSchema, type InstalledBuild, type SlotRecord } from "./slot-record.ts";

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
const wish = (n: number, attempt: number): Wish => ({
  kind: "install",
  job: { releaseId: ulid(n), rolloutId: null, attempt },
  build: build(n),
  soakMs: 1_000,
});

type Chance = "fine" | "power-loss" | "serving-lost" | "fails";

/** A world that executes steps: what is on disk lives in `record`, everything else is lost with the power. */
class World {
  record: SlotRecord = createSlotRecord("reader");
  wish: Wish | null = null;
  loads: SlotLoad[] = [];
  served: string | null = null;
  stopDelivered = false;
  held: string | null = null;
  fetch: SlotFacts["fetch"] = null;
  onDisk = new Set<string>();
  trialSinceMs: number | null = null;
  nowMs = 0;
  loadNumber = 0;

  get facts(): SlotFacts {
    const { nowMs, loads, stopDelivered, held, fetch, trialSinceMs } = this;
    return {
      nowMs,
      servingReady: true,
      loads,
      servedLoadId: this.served,
      shadowLoadId: null,
      stopDelivered,
      held,
      fetch,
      retryAtMs: 0,
      trialSinceMs,
    };
  }

  loseServing(): void {
    this.loads = [];
    this.served = null;
    this.stopDelivered = false;
    this.trialSinceMs = null;
  }

  losePower(): void {
    this.loseServing();
    this.fetch = null;
    this.record = slotRecordSchema.parse(JSON.parse(JSON.stringify(this.record)));
  }

  plan(): Step {
    return planSlot(this.record, this.wish, this.facts);
  }

  execute(step: Step, chance: Chance): void {
    const apply = (event: Parameters<typeof applySlotEvent>[1]) => (this.record = applySlotEvent(this.record, event));
    const bad = chance === "fails";
    const serve = (loadId: string) => {
      this.served = loadId;
      this.stopDelivered = false;
      if (this.record.candidate?.phase === "trial") this.trialSinceMs = this.nowMs;
      apply({ kind: "activated" });
    };
    switch (step.kind) {
      case "begin":
        return void apply({ ...step, kind: "begun" });
      case "fetch":
        if (bad) return void apply({ kind: "failed", code: "digest_mismatch", reason: "wrong" });
        this.onDisk.add(step.build.artifact.digest);
        this.fetch = { digest: step.build.artifact.digest, state: "done" };
        return;
      case "accept-fetched":
        apply({ kind: "verified" });
        this.fetch = null;
        return;
      case "load": {
        expect(this.onDisk.has(step.build.artifact.digest), "only fetched bytes are loaded").toBe(true);
        expect(this.record.distrusted).not.toContain(step.build.artifact.digest);
        if (bad && step.role === "candidate") {
          const verdict = { state: "rolled_back" as const, code: "load_failed", reason: "bad" };
          return void (this.record.candidate?.phase === "trial"
            ? apply({ kind: "reverting", verdict })
            : apply({ kind: "failed", code: "load_failed", reason: "bad" }));
        }
        this.loadNumber += 1;
        this.loads.push({ loadId: `load-${this.loadNumber}`, digest: step.build.artifact.digest });
        if (step.role === "candidate") apply({ kind: "loaded" });
        return;
      }
      case "self-test":
        return void (bad
          ? apply({ kind: "failed", code: "self_test_failed", reason: "bad", selfTestRan: true })
          : apply({ kind: "self-tested", latencyP95Us: 1 }));
      case "begin-shadow":
        return expect.unreachable("no shadow was asked for");
      case "begin-trial":
        apply({ kind: "activating" });
        return serve(step.loadId);
      case "activate":
        if (this.record.candidate?.phase === "trial") apply({ kind: "activating" });
        return serve(step.loadId);
      case "stop":
        this.served = null;
        this.stopDelivered = true;
        return;
      case "confirm":
        expect(this.record.job?.selfTest?.passed, "only proved builds are confirmed").toBe(true);
        return void apply({ kind: "confirmed" });
      case "revert":
        return void apply({ kind: "reverting", verdict: step.verdict });
      case "finish-revert":
        return void apply({ kind: "reverted" });
      case "unload":
        expect(step.loadId, "the served load stays").not.toBe(this.served);
        this.loads = this.loads.filter((load) => load.loadId !== step.loadId);
        return;
      case "await-choice":
        apply({ kind: "choosing", job: step.job, candidates: step.candidates });
        return;
      case "drop":
        return void apply({ kind: "dropped" });
      case "adopt":
        return void apply({ ...step, kind: "adopted" });
      case "remove":
        return void apply({ kind: "removed", job: step.job });
      case "end-job":
        return void apply({ kind: "job-ended", job: step.job, end: step.end });
      case "wait":
        this.nowMs = step.untilMs;
        return;
      case "idle":
    }
  }
}

const chances = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: fc.constant<Chance>("fine") },
    { weight: 1, arbitrary: fc.constantFrom<Chance>("power-loss", "serving-lost", "fails") },
  ),
  { maxLength: 60 },
);
const wishes = fc.array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })), { maxLength: 4 });

function settle(world: World): void {
  for (let count = 0; count < 100; count += 1) {
    const step = world.plan();
    if (step.kind === "idle") return;
    world.execute(step, "fine");
  }
  expect.unreachable("the plan does not arrive");
}

it("ends every job and serves a build whatever power losses, crashes, failures and changes of mind come between", () => {
  fc.assert(
    fc.property(wishes, chances, (asked, fate) => {
      const world = new World();
      let confirmed = false;
      for (const [release, attempt] of [[0, 1] as const, ...asked]) {
        world.wish = wish(release, attempt);
        for (const chance of fate) {
          if (chance === "power-loss") world.losePower();
          else if (chance === "serving-lost") world.loseServing();
          world.execute(world.plan(), release === 0 ? "fine" : chance);
          confirmed ||= world.record.active !== null;
          expect(world.record.active !== null || !confirmed, "a confirmed build is never lost").toBe(true);
        }
      }
      settle(world);
      expect(world.record.job !== null && isJobEnd(world.record.job.state)).toBe(true);
      expect(world.record.candidate).toBeNull();
      const served = world.loads.find((load) => load.loadId === world.served);
      expect(served?.digest).toBe(world.record.active?.artifact.digest);
    }),
    { numRuns: 500 },
  );
});

it("plans nothing more once it has arrived, and does not retry a failed attempt", () => {
  const world = new World();
  world.wish = wish(1, 1);
  settle(world);
  world.wish = wish(2, 1);
  for (let count = 0; count < 20; count += 1) world.execute(world.plan(), "fails");
  settle(world);
  expect(world.record.job).toMatchObject({ releaseId: ulid(2), state: "failed", code: "digest_mismatch" });
  expect(world.plan()).toEqual({ kind: "idle" });
  expect(world.record.active?.version).toBe("1.1.0");
  world.wish = wish(2, 2);
  settle(world);
  expect(world.record.active?.version).toBe("1.2.0");
  expect(world.record.previous?.version).toBe("1.1.0");
});

it("serves the previous build when the active file is distrusted at start, and nothing while stopped", () => {
  const world = new World();
  for (const release of [1, 2]) {
    world.wish = wish(release, 1);
    settle(world);
  }
  world.losePower();
  world.record = applySlotEvent(world.record, { kind: "distrusted", digest: digest(2) });
  settle(world);
  expect(world.loads.find((load) => load.loadId === world.served)?.digest).toBe(digest(1));
  world.record = applySlotEvent(world.record, { kind: "stopped", reason: "tampered" });
  settle(world);
  expect(world.served).toBeNull();
  world.record = applySlotEvent(world.record, { kind: "repaired", digest: digest(2) });
  settle(world);
  expect(world.loads.find((load) => load.loadId === world.served)?.digest).toBe(digest(2));
});

it("serves nothing while it is held, whatever the record says, and goes on from there when it is not", () => {
  fc.assert(
    fc.property(fc.nat(12), fc.constantFrom<Chance>("fine", "power-loss", "serving-lost"), (steps, chance) => {
      const world = new World();
      world.wish = wish(1, 1);
      settle(world);
      world.wish = wish(2, 1);
      for (let count = 0; count < steps; count += 1) world.execute(world.plan(), "fine");
      world.held = "nobody says what is newest";
      if (chance === "power-loss") world.losePower();
      else if (chance === "serving-lost") world.loseServing();
      settle(world);
      expect(world.served).toBeNull();
      expect(world.record.active).not.toBeNull();
      world.held = null;
      settle(world);
      expect(world.loads.find((load) => load.loadId === world.served)?.digest).toBe(digest(2));
    }),
    { numRuns: 100 },
  );
});

/** To be chosen between two builds of one release; the decision is for the given one, or for none. */
const toChoose = (n: number, attempt: number): Wish => ({
  kind: "choose",
  job: { releaseId: ulid(n), rolloutId: null, attempt },
  request: {
    slot: "reader",
    releaseId: ulid(n),
    content: {
      ...{ model: "digit-reader", version: `1.${n}.0`, description: "", classification: null, builds: [] },
      selfTest: { golden: null, latencyP95Ms: null, repeats: 1 },
    },
    candidates: [],
  },
  soakMs: 1_000,
});
const toDecided = (n: number, attempt: number, chosen: number | null): Wish => {
  const asked = wish(n, attempt);
  if (asked.kind !== "install") throw new Error("an install");
  if (chosen !== null)
    return { ...asked, build: { ...asked.build, artifact: { digest: digest(chosen), sizeBytes: 10 } } };
  return { kind: "refused", job: asked.job, end: { state: "failed", code: "no_build_passed", reason: "none" } };
};
const choosing = fc.record({
  measuring: fc.array(fc.constantFrom<Chance>("fine", "power-loss", "serving-lost"), { minLength: 1, maxLength: 10 }),
  installing: fc.array(fc.constantFrom<Chance>("fine", "fine", "fine", "power-loss", "serving-lost"), {
    maxLength: 30,
  }),
  chosen: fc.option(fc.integer({ min: 4, max: 9 })),
});

it("serves what it has while builds are measured, and ends the job with the chosen one or with the named error", () => {
  fc.assert(
    fc.property(fc.array(choosing, { minLength: 1, maxLength: 4 }), (choices) => {
      const world = new World();
      world.wish = wish(0, 1);
      settle(world);
      let served = digest(0);
      for (const [at, { measuring, installing, chosen }] of choices.entries()) {
        world.wish = toChoose(1, at + 1);
        for (const chance of measuring) {
          if (chance === "power-loss") world.losePower();
          else if (chance === "serving-lost") world.loseServing();
          settle(world);
          expect(world.record.job).toMatchObject({ attempt: at + 1, state: "waiting", code: "choosing" });
          expect(world.record.candidate).toBeNull();
          expect(world.loads.find((load) => load.loadId === world.served)?.digest).toBe(served);
        }
        world.wish = toDecided(1, at + 1, chosen);
        for (const chance of installing) {
          if (chance === "power-loss") world.losePower();
          else if (chance === "serving-lost") world.loseServing();
          world.execute(world.plan(), "fine");
        }
        settle(world);
        if (chosen === null) expect(world.record.job).toMatchObject({ state: "failed", code: "no_build_passed" });
        else served = digest(chosen);
        expect(isJobEnd(world.record.job?.state ?? "waiting")).toBe(true);
        expect(world.loads.find((load) => load.loadId === world.served)?.digest).toBe(served);
      }
    }),
    { numRuns: 200 },
  );
});

it("keeps a fulfilled request's build until another one is chosen, then switches as for a new request, proved and reversible", () => {
  const world = new World();
  world.wish = toDecided(1, 1, 4);
  settle(world);
  world.wish = toChoose(1, 1);
  expect(world.plan()).toEqual({ kind: "idle" });
  const other = toDecided(1, 1, 5);
  world.wish = other;
  expect(world.plan(), "an end is not left by a wish alone").toEqual({ kind: "idle" });
  expect(isToSwitch(world.record, other)).toBe(true);
  world.record = applySlotEvent(world.record, { kind: "choosing", job: other.job, candidates: 2 });
  settle(world);
  expect(world.record).toMatchObject({
    active: { artifact: { digest: digest(5) } },
    previous: { artifact: { digest: digest(4) } },
    job: { state: "succeeded", attempt: 1 },
  });
  const worse = toDecided(1, 1, 6);
  world.wish = worse;
  world.record = applySlotEvent(world.record, { kind: "choosing", job: worse.job, candidates: 2 });
  for (let count = 0; count < 20 && world.record.job?.state !== "failed"; count += 1)
    world.execute(world.plan(), "fails");
  settle(world);
  expect(world.record).toMatchObject({ active: { artifact: { digest: digest(5) } }, job: { state: "failed" } });
  expect(isToSwitch(world.record, worse), "what failed is not begun again").toBe(false);
});
