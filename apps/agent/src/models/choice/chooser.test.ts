import { CodedError, silentLogger } from "@fairlead/kernel";
import type { Build, ModelVersion } from "@fairlead/protocol";
import { describe, expect, it, vi } from "vitest";
import type { Wish } from "../plan.ts";
import type { Job } from "../slot-record.ts";
import { toFailed, type Choices, type ChoiceRequest, type Measurement } from "./choice-record.ts";
import { Chooser, type ChooserOptions } from "./chooser.ts";

const digest = (n: number) => `sha256:${String(n).repeat(64)}`;
const releaseId = `rel-${"0".repeat(25)}1`;
const toBuild = (n: number): Build => ({
  artifact: { digest: digest(n), sizeBytes: n * 100 },
  format: "onnx",
  precision: "fp32",
  quantization: "none",
  target: { executionProviders: ["cpu"] },
  inputs: [],
  outputs: [],
});
const content: ModelVersion = {
  model: "reader",
  version: "1.0.0",
  description: "",
  classification: null,
  builds: [toBuild(1), toBuild(2), toBuild(3)],
  selfTest: { golden: null, latencyP95Ms: null, repeats: 1 },
};
const request: ChoiceRequest = { slot: "main", releaseId, content, candidates: content.builds };
const job = { releaseId, rolloutId: null, attempt: 1 };
const wish: Wish = { kind: "choose", job, request, soakMs: 0 };
const ended = (state: Job["state"]): Job => ({ ...job, state, code: null, reason: null, selfTest: null });
const toNumbers = ({ artifact }: Build, p50: number): Measurement => ({
  ...artifact,
  latencyUs: { p50, p99: p50 * 2 },
  joulesPerInference: { value: p50 / 1_000 },
  energyMethod: "modelled",
  accuracyRatio: null,
  agreementRatio: null,
  runs: 10,
  failure: null,
});

/** What a device keeps on its disk, and what each of its builds takes in microseconds. */
class Bench {
  choices: Choices | undefined;
  readonly took = new Map([
    [digest(1), 30],
    [digest(2), 10],
    [digest(3), 20],
  ]);
  readonly measured: string[] = [];
  readonly fetched: string[] = [];
  readonly decided: Wish[] = [];
  readonly changed: Wish[] = [];

  open(options: Partial<ChooserOptions> = {}): Chooser {
    return new Chooser({
      saved: { load: () => this.choices, save: (choices) => (this.choices = structuredClone(choices)) },
      fingerprint: digest(8),
      toPlace: () => ({ runtime: null, providers: ["cpu"] }),
      readServer: () => null,
      policy: { objective: null, accuracyFloor: null },
      fetch: async (artifact) => void this.fetched.push(artifact.digest),
      freeBytes: async () => 1_000_000_000,
      judgeTime: () => null,
      measure: async (_, build) => {
        this.measured.push(build.artifact.digest);
        return toNumbers(build, this.took.get(build.artifact.digest) ?? 1);
      },
      onChange: () => undefined,
      onNewChoice: (_, { wish: changed }) => this.changed.push(changed),
      clock: { nowMs: () => 1_700_000_000_000, monotonicMs: () => 0 },
      random: () => 0,
      logger: silentLogger,
      ...options,
    });
  }

  follow(chooser: Chooser, was: Job | null = null): Wish {
    return chooser.follow({ slot: "main", wish, job: was, onDecided: (decided) => this.decided.push(decided) });
  }

  /** The digest that the device decided for, or why there is none. */
  async decision(count = 1): Promise<string | null> {
    await vi.waitFor(() => expect(this.decided.length).toBeGreaterThanOrEqual(count), { timeout: 4_000, interval: 5 });
    const last = this.decided.at(-1);
    return last?.kind === "install" ? last.build.artifact.digest : last?.kind === "refused" ? last.end.code : null;
  }
}

describe("choosing a build by measuring", () => {
  it("measures each candidate once, smallest first, and decides anew from the kept numbers after a restart", async () => {
    const bench = new Bench();
    const first = bench.open();
    expect(bench.follow(first)).toBe(wish);
    expect(first.view("main")).toMatchObject({ state: "measuring", chosen: null });
    expect(await bench.decision()).toBe(digest(2));
    expect(bench.measured).toEqual([digest(1), digest(2), digest(3)]);
    expect(first.view("main")).toMatchObject({ state: "decided", cached: false, chosen: digest(2) });
    expect(first.keptDigests).toEqual([digest(2)]);
    await first.close();

    const again = bench.open();
    expect(bench.follow(again, ended("succeeded"))).toMatchObject({
      kind: "install",
      build: { artifact: { digest: digest(2) } },
    });
    expect(bench.measured).toHaveLength(3);
    expect(again.view("main")).toMatchObject({ cached: true });
    expect(bench.changed).toHaveLength(1);

    const thrifty = bench.open({ policy: { objective: "accuracy", accuracyFloor: null } });
    expect(bench.follow(thrifty, ended("succeeded"))).toMatchObject({ kind: "choose" });
    await vi.waitFor(() => expect(thrifty.view("main")).toMatchObject({ state: "decided", chosen: null }));
    await thrifty.close();
  });

  it("measures again on other hardware, also for a request that was fulfilled, and tells when the result differs", async () => {
    const bench = new Bench();
    bench.follow(bench.open());
    await bench.decision();
    bench.took.set(digest(3), 5);
    const moved = bench.open({ fingerprint: digest(9) });
    expect(bench.follow(moved, ended("succeeded"))).toBe(wish);
    expect(await bench.decision(2)).toBe(digest(3));
    expect(bench.measured).toHaveLength(6);
    expect(bench.changed.at(-1)).toMatchObject({ build: { artifact: { digest: digest(3) } } });
    const same = bench.open({ fingerprint: digest(7) });
    bench.follow(same, ended("succeeded"));
    expect(await bench.decision(3)).toBe(digest(3));
    expect(bench.changed).toHaveLength(2);
  });

  it("measures anew when it is told to, and has nothing to measure where nothing is to be chosen", async () => {
    const bench = new Bench();
    const chooser = bench.open();
    expect(chooser.measureAgain("main")).toBe(false);
    bench.follow(chooser);
    expect(chooser.measureAgain("main")).toBe(true);
    await bench.decision();
    expect(bench.measured).toHaveLength(3);
    bench.took.set(digest(1), 1);
    expect(chooser.measureAgain("main")).toBe(true);
    expect(chooser.view("main")).toMatchObject({ state: "measuring" });
    expect(await bench.decision(2)).toBe(digest(1));
    expect(bench.measured).toHaveLength(6);
    chooser.follow({ slot: "main", wish: { kind: "empty", job }, job: null, onDecided: () => undefined });
    expect(chooser.measureAgain("main")).toBe(false);
    expect(chooser.view("main")).toBeNull();
  });

  it("goes on where it was cut short, and holds a build for the reason that takes the agent down three times", async () => {
    const bench = new Bench();
    const never = async () => new Promise<never>(() => undefined);
    for (let cut = 1; cut <= 3; cut += 1) {
      const chooser = bench.open({
        measure: async (_, build) =>
          build.artifact.digest === digest(2) ? (bench.measured.push(digest(2)), never()) : toNumbers(build, 30),
      });
      bench.follow(chooser);
      await vi.waitFor(() => expect(bench.measured).toHaveLength(cut));
      expect(bench.choices?.entries[0]).toMatchObject({ running: { digest: digest(2), tries: cut } });
    }
    const last = bench.open();
    bench.follow(last);
    expect(await bench.decision()).toBe(digest(3));
    expect(bench.measured).toEqual([digest(2), digest(2), digest(2), digest(3)]);
    const candidate = last.view("main")?.candidates[1];
    expect(candidate).toMatchObject({ verdict: "failed", reason: expect.stringContaining("the agent ended 3 times") });
  });

  it("names the error and every reason when no build passes, and tries those that failed again with the next attempt", async () => {
    const bench = new Bench();
    const chooser = bench.open({ measure: async (_, build) => toFailed(build, `crash: ${build.artifact.sizeBytes}`) });
    bench.follow(chooser);
    expect(await bench.decision()).toBe("no_build_passed");
    expect(bench.decided[0]).toMatchObject({
      end: {
        state: "failed",
        reason: expect.stringMatching(/none of 3 builds passed.*crash: 100.*crash: 200.*crash: 300/u),
      },
    });
    await chooser.close();
    const restarted = bench.open();
    expect(bench.follow(restarted, ended("failed"))).toBe(wish);
    expect(bench.measured).toEqual([]);
    const next: Wish = { ...wish, job: { ...job, attempt: 2 } };
    restarted.follow({ slot: "main", wish: next, job: ended("failed"), onDecided: (one) => bench.decided.push(one) });
    expect(await bench.decision(2)).toBe(digest(2));
  });

  it("leaves out a candidate that cannot be fetched or does not fit, but waits for the first", async () => {
    const bench = new Bench();
    let refusals = 0;
    const chooser = bench.open({
      freeBytes: async () => 16_777_216 + 250,
      fetch: async (artifact) => {
        if (artifact.digest !== digest(1) || refusals++ > 0) return;
        throw new CodedError("download_failed", "no network");
      },
    });
    bench.follow(chooser);
    expect(await bench.decision()).toBe(digest(2));
    expect(refusals).toBe(2);
    expect(chooser.view("main")?.candidates.map(({ verdict }) => verdict)).toEqual(["lost", "chosen", "not-measured"]);
    expect(chooser.view("main")?.candidates[2]?.reason).toContain("the disk has 16777466 bytes free");
  });

  it("stops when the wish changes, and a build that only was called off counts as unmeasured", async () => {
    const bench = new Bench();
    const chooser = bench.open({
      measure: async (_, __, signal) =>
        new Promise<never>((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    });
    bench.follow(chooser);
    await vi.waitFor(() => expect(bench.choices?.entries[0]?.running?.tries).toBe(1));
    await chooser.close();
    expect(bench.choices?.entries[0]).toMatchObject({ running: null, measured: [] });
    expect(bench.decided).toEqual([]);
  });
});
