import type { AuditEntry, RolloutHistoryEntry } from "@fairlead/protocol";
import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { publishDigitReader } from "../support/publish.ts";
import { AnsweringDevice } from "./answering-device.ts";
import { startPlane, type Harness } from "./plane-harness.ts";

const devices = new AsyncDisposableStack();
let harness: Harness;
let first: AnsweringDevice;
let second: AnsweringDevice;
let third: AnsweringDevice;
let lasting = "";
const canary = { name: "canary", target: { kind: "selector", selector: "group=canary" } };
const all = { name: "all", target: { kind: "percent", percent: 100 } };

beforeAll(async () => {
  harness = await startPlane();
  for (const version of ["1.0.0", "1.1.0", "1.2.0"] as const) await publishDigitReader(harness.plane, version);
  first = devices.use(await AnsweringDevice.enrol(harness, "cam-1", { site: "test", group: "canary" }));
  second = devices.use(await AnsweringDevice.enrol(harness, "cam-2"));
  third = devices.use(await AnsweringDevice.enrol(harness, "cam-3"));
  await reach(await create("1.0.0", [all]), "succeeded");
}, 120_000);
afterAll(async () => {
  await devices[Symbol.asyncDispose]();
  await harness[Symbol.asyncDispose]();
});

async function create(version: string, stages: readonly object[], more: object = {}): Promise<string> {
  const spec = { model: "digit-reader", version, slot: "reader", selector: "site=test", deviceSoakMs: 0, ...more };
  const timed = stages.map((stage) => ({ ...stage, soakMs: 0 }));
  const { rolloutId, ...answer } = await harness.plane.post("/api/v1/rollouts", { ...spec, stages: timed });
  expect(answer.status, JSON.stringify(answer)).toBe(201);
  return String(rolloutId);
}
async function act(action: string, rolloutId: string): Promise<void> {
  const answer = await harness.plane.post(`/api/v1/rollouts/${rolloutId}/actions`, { action, reason: "a test asks" });
  expect(answer.status, JSON.stringify(answer)).toBe(200);
}
const reach = (rolloutId: string, state: string) =>
  eventually(`${rolloutId} is ${state}`, async () => {
    const found = await harness.plane.rollout(rolloutId);
    return found.state === state && found;
  });
/** What was decided about one device, oldest first. */
async function listEntries(rolloutId: string, device: string): Promise<RolloutHistoryEntry[]> {
  const path = `/api/v1/rollouts/${rolloutId}/history?limit=1000`;
  const { items } = await harness.plane.get<{ items: RolloutHistoryEntry[] }>(path);
  return items.filter(({ details }) => details["device"] === device);
}
const listDecisions = async (rolloutId: string, device: string): Promise<string[]> =>
  (await listEntries(rolloutId, device)).map(({ kind }) => kind);
const versions = () => [first, second, third].map((device) => device.running());

it("takes back every device when a later stage fails, also the one that had succeeded in the first", async () => {
  third.failing.add("1.1.0");
  const rolloutId = await create("1.1.0", [canary, all]);
  const { stages, code } = await reach(rolloutId, "rolled_back");
  expect(stages.map(({ name, state }) => `${name} ${state}`)).toEqual(["canary passed", "all failed"]);
  expect(code).toBe("too_many_failures");
  expect(versions()).toEqual(["1.0.0", "1.0.0", "1.0.0"]);
  const told = await listDecisions(rolloutId, "cam-1");
  expect(told.filter((kind) => kind === "offer" || kind === "revert")).toEqual(["offer", "revert"]);
  expect((await harness.plane.device("cam-1")).slots[0]?.desired?.version).toBe("1.0.0");
});

it(
  "offers to nobody further while it is paused, goes on when it is resumed, and tries again where it failed",
  { timeout: 120_000 },
  async () => {
    first.silent = true;
    third.failing.add("1.2.0");
    lasting = await create("1.2.0", [canary, all], { onFailure: "pause" });
    await eventually("the canary is asked", () =>
      first.raw.received.some(
        ({ topic, body }) => topic.endsWith("/desired") && JSON.stringify(body).includes(lasting),
      ),
    );
    await act("pause", lasting);
    first.silent = false;
    await first.answer();
    await eventually(
      "the canary has it",
      async () => (await harness.plane.device("cam-1")).reported?.slots[0]?.active?.version === "1.2.0",
    );
    // The controller has looked at every rollout once more when this one, in another slot, is over.
    const other = await create("1.0.0", [all], { slot: "other", selector: "group=canary" });
    await reach(other, "succeeded");
    expect(await harness.plane.rollout(lasting)).toMatchObject({ state: "paused", pauseReason: "manual" });
    expect(versions()).toEqual(["1.2.0", "1.0.0", "1.0.0"]);

    await act("resume", lasting);
    expect(await reach(lasting, "paused")).toMatchObject({ pauseReason: "gate_failed", code: "too_many_failures" });
    expect(versions()).toEqual(["1.2.0", "1.2.0", "1.0.0"]);

    third.failing.clear();
    await act("retry", lasting);
    await reach(lasting, "succeeded");
    expect(versions()).toEqual(["1.2.0", "1.2.0", "1.2.0"]);
    const offers = async (device: string) =>
      (await listDecisions(lasting, device)).filter((kind) => kind === "offer").length;
    expect([await offers("cam-1"), await offers("cam-2"), await offers("cam-3")]).toEqual([1, 1, 2]);
  },
);

it("gives the version to a device that joins after its end, and takes it from all when it is undone", async () => {
  const fourth = devices.use(await AnsweringDevice.enrol(harness, "cam-4"));
  await eventually("the newcomer runs it", () => fourth.running() === "1.2.0");
  await act("undo", lasting);
  await reach(lasting, "rolled_back");
  expect(versions()).toEqual(["1.0.0", "1.0.0", "1.0.0"]);
  // It had nothing before, and said that it has nothing again.
  const told = await listEntries(lasting, "cam-4");
  // Its success may not have been heard yet.
  const kinds = told.map(({ kind }) => kind).filter((kind) => kind !== "record-outcome");
  expect(kinds).toEqual(["plan-device", "offer", "revert", "confirm-revert"]);
  expect(told.find(({ kind }) => kind === "revert")?.details).toMatchObject({ to: null });
  // The one before it is the newest word for the place again, also for those who came later.
  await eventually("it joins what is in force now", () => fourth.running() === "1.0.0");
});

it("tells in the audit log of each of these acts what the rollout was before it and after it", async () => {
  const { items } = await harness.plane.get<{ items: AuditEntry[] }>("/api/v1/audit?limit=1000");
  const acts = items
    .filter(({ subject, action }) => subject.endsWith(lasting) && action !== "rollout.create")
    .toReversed();
  const own = acts.filter(({ actor }) => actor.startsWith("admin:"));
  const standing = (state: string, more: object = {}) => expect.objectContaining({ state, ...more }) as object;
  expect(
    own.map(({ action, reason, details }) => ({ action, reason, before: details["before"], after: details["after"] })),
  ).toEqual([
    { action: "rollout.pause", reason: "a test asks", before: standing("running"), after: standing("paused") },
    { action: "rollout.resume", reason: "a test asks", before: standing("paused"), after: standing("running") },
    { action: "rollout.retry", reason: "a test asks", before: standing("paused"), after: standing("running") },
    { action: "rollout.undo", reason: "a test asks", before: standing("succeeded"), after: standing("rolling_back") },
  ]);
  for (const { details } of own) expect(details["from"]).toBeTruthy();
});
