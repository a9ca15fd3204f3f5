import type { RolloutHistoryEntry } from "@fairlead/protocol";
import { afterAll, beforeAll, expect, it } from "vitest";
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

it("takes an empty selector for the whole fleet only where that is written out", async () => {
  expect(await ask("1.1.0", { selector: "" })).toMatchObject({ status: 422, code: "selector_empty" });
});

it("refuses a stage whose devices have less time than each of them watches the new build", async () => {
  const stages = [{ name: "all", target: { kind: "percent", percent: 100 }, soakMs: 0, timeoutMs: 1_000 }];
  const refused = await ask("1.1.0", { selector: "site=berlin", deviceSoakMs: 30_000, stages });
  expect(refused).toMatchObject({ status: 422, code: "validation_failed" });
  expect(JSON.stringify(refused)).toContain("watches the new build for 30000 ms");
});
