import { loadProfiles } from "@fairlead/hardware";
import { silentLogger } from "@fairlead/kernel";
import type { Build, ExecutionProvider, ModelVersion } from "@fairlead/protocol";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { profilesFolder, servingEntry } from "../../places.ts";
import type { Choices, ChoiceRequest, Measurement } from "../../models/choice/choice-record.ts";
import { Chooser } from "../../models/choice/chooser.ts";
import type { Wish } from "../../models/plan.ts";
import { systemClock as clock } from "../../system-clock.ts";
import { measureBuild, readServer, toPlace, type MeasureBuildOptions } from "../measure-build.ts";

const profiles = await loadProfiles(profilesFolder);

export function findProfile(name: string) {
  const profile = profiles.find(({ metadata }) => metadata.name === name);
  if (profile === undefined) throw new Error(`no profile ${name}`);
  return profile;
}

const releaseId = `rel-${"0".repeat(26)}`;
const notServing: MeasureBuildOptions["serving"] = {
  ready: false,
  request: () => Promise.reject(new Error("nothing serves here")),
};

/** A device that measures builds with the real serving process; everything that it keeps is in one folder. */
export class BenchDevice implements AsyncDisposable {
  readonly dir = mkdtempSync(join(tmpdir(), "bench-device-"));
  readonly options: MeasureBuildOptions;
  readonly #choosers: Chooser[] = [];
  #choices: Choices | undefined;

  constructor(rest: Partial<MeasureBuildOptions> = {}) {
    this.options = {
      ...{ entry: servingEntry, folder: join(this.dir, "bench"), hardwareRoot: "/", diskPath: this.dir },
      ...{ profile: findProfile("generic-x86"), toPath: (digest: string) => this.toPath(digest) },
      offers: { providers: ["cpu"], runtimes: [], slots: {}, loadTimeoutMs: 10_000 },
      bounds: { memoryLimitBytes: 2 ** 31 },
      ...{ serving: notServing, createId: () => randomBytes(8).toString("hex") },
      ...{ threads: 1, deadlineMs: 500, durationMs: 200, cores: 2, clock, logger: silentLogger },
      ...rest,
    };
  }

  get measured(): readonly Measurement[] {
    return this.#choices?.entries.flatMap(({ measured }) => measured) ?? [];
  }

  toPath(digest: string): string {
    return join(this.dir, digest.slice("sha256:".length));
  }

  toBuild(model: Uint8Array, executionProviders: readonly ExecutionProvider[] = ["cpu"]): Build {
    const digest = `sha256:${createHash("sha256").update(model).digest("hex")}`;
    writeFileSync(this.toPath(digest), model);
    const tensor = (name: string) => ({ name, elementType: "float32" as const, shape: [4] });
    return {
      artifact: { digest, sizeBytes: model.length },
      ...{ format: "onnx", precision: "fp32", quantization: "none" },
      target: { executionProviders: [...executionProviders] },
      ...{ inputs: [tensor("x")], outputs: [tensor("y")] },
    };
  }

  toRequest(...builds: Build[]): ChoiceRequest {
    const content: ModelVersion = {
      ...{ model: "loops", version: "1.0.0", description: "", classification: null, builds },
      selfTest: { golden: null, latencyP95Ms: null, repeats: 1 },
    };
    return { slot: "reader", releaseId, content, candidates: builds };
  }

  measure(build: Build, signal: AbortSignal = new AbortController().signal) {
    return measureBuild(this.options, { request: this.toRequest(build), build }, signal);
  }

  /** What the device decides for the slot `reader`, with every candidate's numbers. */
  async choose(...builds: Build[]): Promise<{ readonly wish: Wish; readonly chooser: Chooser }> {
    const { offers } = this.options;
    const chooser = new Chooser({
      saved: { load: () => this.#choices, save: (choices) => (this.#choices = choices) },
      ...{ fingerprint: `sha256:${"1".repeat(64)}`, policy: { objective: null, accuracyFloor: null } },
      toPlace: (slot, build) => toPlace(slot, build, offers),
      readServer: (slot, build) => readServer(slot, build, { offers, root: this.dir }),
      ...{ fetch: async () => undefined, freeBytes: async () => 2 ** 40, judgeTime: () => null },
      measure: (request, build, signal) => measureBuild(this.options, { request, build }, signal),
      ...{ onChange: () => undefined, onNewChoice: () => undefined },
      ...{ clock, random: () => 0, logger: silentLogger },
    });
    this.#choosers.push(chooser);
    const job = { releaseId, rolloutId: null, attempt: 1 };
    const wish: Wish = { kind: "choose", job, request: this.toRequest(...builds), soakMs: 0 };
    return new Promise((resolve) => {
      const onDecided = (decided: Wish) => resolve({ wish: decided, chooser });
      const first = chooser.follow({ slot: "reader", wish, job: null, onDecided });
      if (first.kind !== "choose") onDecided(first);
    });
  }

  /** Ids of processes that were told of this device's folder for measuring. */
  findProcesses(): string[] {
    return readdirSync("/proc").filter((pid) => {
      try {
        return /^\d+$/u.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(this.options.folder);
      } catch {
        return false;
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const chooser of this.#choosers) await chooser.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
