import { endlessLoopModel, FailingDriver, mlpModel, whyNoFailingDriver } from "@fairlead/inference/testing";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { LoadRequest } from "./ipc.ts";
import type { ServingEvent } from "./serving-event.ts";
import { ServingHarness } from "./testing/serving-harness.ts";

const reason = whyNoFailingDriver();
const acceleratorRetry = { firstMs: 100, maxMs: 300 };
const providers = ["webgpu", "cpu"];
const model = mlpModel({ widths: [4, 16, 3] });
const load: Partial<LoadRequest> = { model: "mlp", providers };

function open(driver: FailingDriver, config: ConstructorParameters<typeof ServingHarness>[0] = {}): ServingHarness {
  Object.assign(process.env, driver.environment);
  return new ServingHarness({ acceleratorRetry, ...config });
}

function readChildren(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(/\s+/u).map(Number);
}

async function infer(harness: ServingHarness, name = "mlp"): Promise<{ status: number; text: string }> {
  const body = JSON.stringify({ inputs: [{ name: "x", datatype: "FP32", shape: [1, 4], data: [1, 2, 3, 4] }] });
  const { status, bytes } = await harness.http({ path: `/v2/models/${name}/infer`, body });
  return { status, text: bytes.toString() };
}

/** Asks without a pause until it is disposed; the statuses in the order of their answers. */
class Client implements AsyncDisposable {
  readonly statuses: number[] = [];
  #asking = true;
  readonly #done: Promise<void>;

  constructor(harness: ServingHarness, name = "mlp") {
    this.#done = this.#run(harness, name);
  }

  async #run(harness: ServingHarness, name: string): Promise<void> {
    while (this.#asking) this.statuses.push((await infer(harness, name)).status);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#asking = false;
    await this.#done;
  }
}

const isPlacement = (event: ServingEvent) => event.kind === "placement";
const placements = (harness: ServingHarness) => harness.events.filter(isPlacement).map(({ placement }) => placement);
async function until(what: string, isSo: () => boolean): Promise<void> {
  const untilMs = performance.now() + 30_000;
  while (!isSo()) {
    if (performance.now() > untilMs) throw new Error(`${what}: not within 30 s`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const untilPlacements = (harness: ServingHarness, count: number) =>
  until(`${count} changes of placement`, () => placements(harness).length >= count);

describe.skipIf(reason !== undefined)(
  `an accelerator that comes and goes${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  { timeout: 90_000 },
  () => {
    it("is used as soon as it is there, without a request that fails", async () => {
      using driver = new FailingDriver("broken");
      await using harness = open(driver);
      await harness.event("ready");
      const { placement } = await harness.must(harness.toLoad("a", model, load));
      expect(placement).toMatchObject({ requestedProviders: providers, shares: { cpu: 1 }, failedProvider: "webgpu" });
      await harness.must({ kind: "activate", slot: "reader", loadId: "a" });
      await using client = new Client(harness);
      const warning = await harness.event("model-warning");
      expect(warning).toMatchObject({ loadId: "a", code: "accelerator_failed" });
      expect(warning.message).toContain("webgpu is still not there: webgpu failed");
      driver.mend();
      await untilPlacements(harness, 1);
      const before = client.statuses.length;
      await until("more answers", () => client.statuses.length > before + 20);
      await client[Symbol.asyncDispose]();
      expect(new Set(client.statuses)).toEqual(new Set([200]));
      expect(placements(harness)).toEqual([
        { requestedProviders: providers, shares: { webgpu: 1 }, proof: "profiled warm-up run" },
      ]);
    });

    it("is stood in for by the cpu when it is lost under load, and is used again when it is back", async () => {
      using driver = new FailingDriver();
      await using harness = open(driver);
      await harness.event("ready");
      await harness.serve(harness.toLoad("a", model, { ...load, scheduling: { instances: 2 } }));
      const right = await infer(harness);
      await using client = new Client(harness);
      await until("more answers", () => client.statuses.length > 5);
      driver.break();
      await untilPlacements(harness, 1);
      const standIn = client.statuses.length;
      await until("more answers", () => client.statuses.length > standIn + 20);
      expect(placements(harness)[0]).toMatchObject({ shares: { cpu: 1 }, failedProvider: "webgpu" });
      expect(placements(harness)[0]?.proof).toContain("the cpu stands in: webgpu was lost: ");
      driver.mend();
      await untilPlacements(harness, 2);
      const back = client.statuses.length;
      await until("more answers", () => client.statuses.length > back + 20);
      await client[Symbol.asyncDispose]();
      expect(placements(harness)[1]).toMatchObject({ shares: { webgpu: 1 } });
      expect(placements(harness)[1]).not.toHaveProperty("failedProvider");
      // Only what was asked between the loss and the stand-in failed, and was told to ask again.
      const failed = client.statuses.filter((status) => status !== 200);
      expect(new Set(failed)).toEqual(new Set([503]));
      expect(client.statuses.slice(standIn).filter((status) => status !== 200)).toEqual([]);
      expect((await infer(harness)).status).toBe(right.status);
      expect(harness.events.filter(({ kind }) => kind === "hung")).toEqual([]);
    });

    it("is not stood in for where it is required, and is used again when it is back", async () => {
      using driver = new FailingDriver();
      await using harness = open(driver);
      await harness.event("ready");
      await harness.serve(harness.toLoad("a", model, { ...load, providers: ["webgpu"] }));
      expect((await infer(harness)).status).toBe(200);
      driver.break();
      expect(await infer(harness)).toMatchObject({ status: 503, text: expect.stringContaining("is lost") as unknown });
      await untilPlacements(harness, 1);
      expect(placements(harness)[0]).toMatchObject({ shares: {}, failedProvider: "webgpu" });
      expect(placements(harness)[0]?.proof).toContain("the cpu may not stand in");
      const again = await harness.ask(harness.toLoad("b", model, { ...load, providers: ["webgpu"] }));
      expect(again).toMatchObject({ ok: false, error: { code: "accelerator_failed" } });
      const warnings = () => harness.events.filter(({ kind }) => kind === "model-warning");
      await until("tries that fail", () => warnings().length > 1);
      expect(placements(harness)).toHaveLength(1);
      driver.mend();
      await untilPlacements(harness, 2);
      expect((await infer(harness)).status).toBe(200);
      await harness.must({ kind: "stop-serving", slot: "reader", reason: "the end" });
      await harness.must({ kind: "unload", loadId: "a" });
    });

    it("takes no other model along when its driver crashes in a process of its own", async () => {
      using driver = new FailingDriver();
      await using harness = open(driver, { isolated: ["webgpu"] });
      await harness.event("ready");
      const other = { model: "other", slot: "other" };
      await harness.serve(harness.toLoad("b", model, other));
      const alone = readChildren(harness.child.pid ?? 0).length;
      await harness.serve(harness.toLoad("a", model, load));
      await using client = new Client(harness);
      await using neighbour = new Client(harness, "other");
      const [session = 0, ...rest] = readChildren(harness.child.pid ?? 0);
      expect([alone, rest]).toEqual([0, []]);
      await until("both are asked", () => Math.min(client.statuses.length, neighbour.statuses.length) > 5);
      process.kill(session, "SIGSEGV");
      await untilPlacements(harness, 1);
      expect(placements(harness)[0]?.proof).toContain(
        "the cpu stands in: webgpu was lost: its process ended (SIGSEGV)",
      );
      await untilPlacements(harness, 2);
      expect(placements(harness)[1]).toMatchObject({ shares: { webgpu: 1 } });
      const { length } = neighbour.statuses;
      await until("more answers of the other", () => neighbour.statuses.length > length + 5);
      for (const one of [client, neighbour]) await one[Symbol.asyncDispose]();
      expect(new Set(neighbour.statuses)).toEqual(new Set([200]));
      expect(client.statuses.at(-1)).toBe(200);
      expect(client.statuses.filter((status) => status !== 200 && status !== 503)).toEqual([]);
    });

    it("leaves no profile behind when its process is killed in the warm-up run", async () => {
      using driver = new FailingDriver();
      const profileFolder = mkdtempSync(join(tmpdir(), "profiles-"));
      mkdirSync(join(profileFolder, "theirs"));
      {
        await using harness = open(driver, { profileFolder });
        await harness.event("ready");
        void harness.ask(harness.toLoad("a", endlessLoopModel({ trips: 900_000n, shape: ["batch", 4] }), load));
        await until("a profile", () => readdirSync(profileFolder).length === 2);
      }
      expect(readdirSync(profileFolder)).toHaveLength(2);
      await using harness = open(driver, { profileFolder });
      await harness.event("ready");
      expect(readdirSync(profileFolder)).toEqual(["theirs"]);
      rmSync(profileFolder, { recursive: true });
    });
  },
);
