import type { RolloutHistoryEntry, RolloutStatus } from "@fairlead/protocol";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runCliJson } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { publishDigitReader } from "../support/publish.ts";
import { AnsweringDevice } from "./answering-device.ts";
import { startPlane, type Harness } from "./plane-harness.ts";

let harness: Harness;
let first: AnsweringDevice;
let second: AnsweringDevice;
let third: AnsweringDevice;
let fourth: AnsweringDevice;
let lasting = "";

beforeAll(async () => {
  harness = await startPlane();
  for (const version of ["1.0.0", "1.1.0", "1.2.0"] as const) await publishDigitReader(harness.plane, version);
  first = await AnsweringDevice.enrol(harness, "cam-1", { site: "test", group: "canary" });
  second = await AnsweringDevice.enrol(harness, "cam-2");
  third = await AnsweringDevice.enrol(harness, "cam-3");
  await reach(await create("1.0.0", "all=100%"), "succeeded");
}, 120_000);
afterAll(async () => {
  for (const device of [first, second, third, fourth]) await device[Symbol.asyncDispose]();
  await harness[Symbol.asyncDispose]();
});

async function create(version: string, stages: string, ...more: readonly string[]): Promise<string> {
  const { rolloutId } = await runCliJson<RolloutStatus>(
    [
      ...["rollouts", "create", "--model", "digit-reader", "--version", version, "--slot", "reader", ...more],
      ...["--selector", "site=test", "--stages", stages, "--soak", "0", "--device-soak", "0"],
    ],
    harness.plane.cliEnv,
  );
  return rolloutId;
}
const act = (action: string, rolloutId: string) =>
  runCliJson<RolloutStatus[]>(["rollouts", action, rolloutId, "--yes"], harness.plane.cliEnv);
const reach = (rolloutId: string, state: string) =>
  eventually(`${rolloutId} is ${state}`, async () => {
    const found = await harness.plane.rollout(rolloutId);
    return found.state === state && found;
  });
/** What was decided about one device, oldest first. */
async function listDecisions(rolloutId: string, device: string): Promise<string[]> {
  const entries = await runCliJson<RolloutHistoryEntry[]>(["rollouts", "history", rolloutId], harness.plane.cliEnv);
  return entries.filter(({ details }) => details["device"] === device).map(({ kind }) => kind);
}
const versions = () => [first, second, third].map((device) => device.running());

it("takes back every device when a later stage fails, also the one that had succeeded in the first", async () => {
  third.failing.add("1.1.0");
  const rolloutId = await create("1.1.0", "canary={group=canary},all=100%");
  const { stages, code } = await reach(rolloutId, "rolled_back");
  expect(stages.map(({ name, state }) => `${name} ${state}`)).toEqual(["canary passed", "all failed"]);
  expect(code).toBe("too_many_failures");
  expect(versions()).toEqual(["1.0.0", "1.0.0", "1.0.0"]);
  const told = await listDecisions(rolloutId, "cam-1");
  expect(told.filter((kind) => kind === "offer" || kind === "revert")).toEqual(["offer", "revert"]);
  expect((await harness.plane.device("cam-1")).slots[0]?.desired?.version).toBe("1.0.0");
});

it("offers to nobody further while it is paused, goes on when it is resumed, and tries again where it failed", async () => {
  first.silent = true;
  third.failing.add("1.2.0");
  lasting = await create("1.2.0", "canary={group=canary},all=100%", "--on-failure", "pause");
  await eventually("the canary is asked", () =>
    first.raw.received.some(({ topic, body }) => topic.endsWith("/desired") && JSON.stringify(body).includes(lasting)),
  );
  await act("pause", lasting);
  first.silent = false;
  await first.answer();
  await eventually(
    "the canary has it",
    async () => (await harness.plane.device("cam-1")).reported?.slots[0]?.active?.version === "1.2.0",
  );
  // The controller has looked at every rollout once more when this one, in another slot, is over.
  const other = await runCliJson<RolloutStatus>(
    [
      ...["rollouts", "create", "--model", "digit-reader", "--version", "1.0.0", "--slot", "other"],
      ...["--selector", "group=canary", "--stages", "all=100%", "--soak", "0", "--device-soak", "0"],
    ],
    harness.plane.cliEnv,
  );
  await reach(other.rolloutId, "succeeded");
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
});

it("gives the version to a device that joins after its end, and takes it from all when it is undone", async () => {
  fourth = await AnsweringDevice.enrol(harness, "cam-4");
  await eventually("the newcomer runs it", () => fourth.running() === "1.2.0");
  await act("undo", lasting);
  await reach(lasting, "rolled_back");
  expect(versions()).toEqual(["1.0.0", "1.0.0", "1.0.0"]);
  // It had nothing before.
  expect(fourth.running()).toBeNull();
});
