import type { RolloutHistoryEntry } from "@fairlead/protocol";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runWarmCli } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { publishDigitReader } from "../support/publish.ts";
import { AnsweringDevice } from "./answering-device.ts";
import { startPlane, type Harness } from "./plane-harness.ts";

const devices = new AsyncDisposableStack();
let harness: Harness;

beforeAll(async () => {
  harness = await startPlane();
  for (const version of ["1.0.0", "1.1.0"] as const) await publishDigitReader(harness.plane, version);
  devices.use(await AnsweringDevice.enrol(harness, "cam-1", { site: "berlin" }));
}, 120_000);
afterAll(async () => {
  await devices[Symbol.asyncDispose]();
  await harness[Symbol.asyncDispose]();
});

const ask = (version: string, devicesAsked: object) => {
  const stages = [{ name: "all", target: { kind: "percent", percent: 100 }, soakMs: 0 }];
  const spec = { model: "digit-reader", version, slot: "reader", deviceSoakMs: 0, stages, ...devicesAsked };
  return harness.plane.post("/api/v1/rollouts", spec);
};

async function complete(version: string, devicesAsked: object): Promise<string> {
  const { rolloutId, ...answer } = await ask(version, devicesAsked);
  expect(answer.status, JSON.stringify(answer)).toBe(201);
  await eventually("it succeeded", async () => (await harness.plane.rollout(String(rolloutId))).state === "succeeded");
  return String(rolloutId);
}

async function listDecisions(rolloutId: string, device: string): Promise<string[]> {
  const path = `/api/v1/rollouts/${rolloutId}/history?limit=1000`;
  const { items } = await harness.plane.get<{ items: RolloutHistoryEntry[] }>(path);
  return items.filter(({ details }) => details["device"] === device).map(({ kind }) => kind);
}

it("gives a device that joins late to the newest of the rollouts that select it, and to that one once", async () => {
  const everywhere = await complete("1.0.0", { selector: "", wholeFleet: true });
  const berlin = await complete("1.0.0", { selector: "site=berlin" });
  const newest = await complete("1.1.0", { selector: "site in (berlin,munich)" });
  const late = devices.use(await AnsweringDevice.enrol(harness, "cam-2", { site: "berlin" }));
  const hamburg = devices.use(await AnsweringDevice.enrol(harness, "cam-3", { site: "hamburg" }));
  await eventually("both are served", () => late.running() === "1.1.0" && hamburg.running() === "1.0.0");
  await eventually("the newest has noted its end", async () =>
    (await listDecisions(newest, "cam-2")).includes("record-outcome"),
  );
  expect(await listDecisions(newest, "cam-2")).toEqual(["plan-device", "offer", "record-outcome"]);
  expect(await listDecisions(berlin, "cam-2")).toEqual([]);
  expect(await listDecisions(everywhere, "cam-2")).toEqual([]);
  expect(await listDecisions(everywhere, "cam-3")).toEqual(["plan-device", "offer", "record-outcome"]);
}, 60_000);

it("leaves a device that the newer one selects and gives no stage to the older one", async () => {
  const gate = devices.use(await AnsweringDevice.enrol(harness, "gate-1", { kind: "gate", row: "front" }));
  const older = await complete("1.0.0", { selector: "kind=gate" });
  const stages = [{ name: "front", target: { kind: "selector", selector: "row=front" }, soakMs: 0 }];
  await complete("1.1.0", { selector: "kind in (gate)", stages });
  const back = devices.use(await AnsweringDevice.enrol(harness, "gate-2", { kind: "gate", row: "back" }));
  await eventually("the older one serves it", () => back.running() === "1.0.0");
  expect(await listDecisions(older, "gate-2")).toContain("offer");
  expect(gate.running()).toBe("1.1.0");
}, 60_000);

it("goes on whatever a device gives as its reason: half a character, which no audit entry could hold, stops nothing", async () => {
  const odd = devices.use(await AnsweringDevice.enrol(harness, "odd-1", { kind: "odd" }));
  await complete("1.0.0", { selector: "kind=odd" });
  odd.reason = "it is broken \ud83d";
  // A version of its own: one that failed for cause is known as bad afterwards.
  await publishDigitReader(harness.plane, "1.2.0");
  odd.failing.add("1.2.0");
  const { rolloutId } = await ask("1.2.0", { selector: "kind=odd" });
  const ended = await eventually("it is over", async () => {
    const rollout = await harness.plane.rollout(String(rolloutId));
    return rollout.state === "rolled_back" ? rollout : undefined;
  });
  expect(JSON.stringify(ended)).not.toContain("\\ud83d");
  expect(odd.running()).toBe("1.0.0");
}, 60_000);

it("takes an empty selector for the whole fleet only where that is written out", async () => {
  expect(await ask("1.1.0", { selector: "" })).toMatchObject({ status: 422, code: "selector_empty" });
});

it("refuses a stage whose devices have less time than each of them watches the new build", async () => {
  const stages = [{ name: "all", target: { kind: "percent", percent: 100 }, soakMs: 0, timeoutMs: 1_000 }];
  const refused = await ask("1.1.0", { selector: "site=berlin", deviceSoakMs: 30_000, stages });
  expect(refused).toMatchObject({ status: 422, code: "validation_failed" });
  expect(JSON.stringify(refused)).toContain("watches the new build for 30000 ms");
});

it("leaves a newcomer to the older one once the newer one's release is over, and takes nothing from who runs it", async () => {
  const first = devices.use(await AnsweringDevice.enrol(harness, "door-1", { kind: "door" }));
  const older = await complete("1.0.0", { selector: "kind=door" });
  const sign = ["releases", "sign", "digit-reader", "1.1.0", "--ttl", "8s"];
  expect(await runWarmCli(sign, harness.plane.cliEnv)).toMatchObject({ code: 0 });
  const endsAtMs = Date.now() + 8_000;
  const newer = await complete("1.1.0", { selector: "kind in (door)" });
  await eventually("the release is over", () => Date.now() > endsAtMs, 15_000);
  const late = devices.use(await AnsweringDevice.enrol(harness, "door-2", { kind: "door" }));
  await eventually("the older one serves it", () => late.running() === "1.0.0");
  expect(await listDecisions(older, "door-2")).toContain("offer");
  expect(await listDecisions(newer, "door-2")).toEqual([]);
  expect(first.running()).toBe("1.1.0");
}, 60_000);
