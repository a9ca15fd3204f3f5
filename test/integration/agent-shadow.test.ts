import type { DesiredSlot } from "@fairlead/protocol";
import { expect, it } from "vitest";
import { killNow, readChildren } from "../support/child-of.ts";
import { AgentHarness, device, toSlot } from "./agent-harness.ts";
import { MiniPlane } from "./mini-plane.ts";

const terms = { share: 1, tolerance: { absolute: 1e-3, relative: 1e-2 } };

function toShadowed(base: DesiredSlot, candidate: DesiredSlot, attempt: number): DesiredSlot {
  const { release } = candidate;
  if (release === null) throw new Error("a shadow has a release");
  return { ...base, attempt, shadow: { release, ...terms } };
}

it("runs a shadow on live input, reports how it compares, brings it back after a crash, and promotes it without a lost request", async () => {
  await using plane = await MiniPlane.start();
  await using agent = new AgentHarness(plane);
  expect((await agent.enrol()).code).toBe(0);
  const base = toSlot(plane, "1.0.0");
  const newer = toSlot(plane, "1.1.0");
  await plane.desire(device, [base]);
  agent.run();
  await agent.waitForVersion("1.0.0");

  await plane.desire(device, [toShadowed(base, newer, 2)]);
  await agent.waitFor("the shadow runs", () => agent.slot?.shadow?.version === "1.1.0");
  expect(agent.slot).toMatchObject({
    active: { version: "1.0.0" },
    shadow: { share: 1 },
    job: { state: "soaking", code: "shadowing", selfTest: { passed: true } },
  });
  expect(await agent.accuracy(100)).toBeLessThan(0.94);
  const toWindows = () =>
    plane.telemetry
      .flatMap(({ windows }) => windows.flatMap(({ slots }) => slots))
      .filter(({ version, shadow }) => version === "1.1.0" && (shadow?.compared ?? 0) > 0);
  const toSum = (name: "compared" | "agreed") =>
    toWindows().reduce((total, { shadow }) => total + (shadow?.[name] ?? 0), 0);
  // Where the first window ends is chance, and it may hold one image only: one that the two do not read alike.
  await agent.waitFor("comparisons of many images", () => toSum("compared") >= 30);
  expect(toSum("agreed")).toBeGreaterThan(toSum("compared") / 2);
  for (const window of toWindows()) expect(window).toMatchObject({ errors: {}, requests: window.shadow?.compared });

  const mark = plane.reported.length;
  const restart = await plane.command(device, { kind: "restart-serving", reason: "test" });
  await agent.waitFor("the restart is done", () => plane.replies.find(({ commandId }) => commandId === restart));
  const toSlots = () => plane.reported.slice(mark).flatMap(({ slots }) => slots);
  await agent.waitFor("it is gone", () =>
    toSlots().some(({ shadow, serving }) => !serving && (shadow ?? null) === null),
  );
  await agent.waitFor("it is back", () => agent.slot?.serving === true && agent.slot.shadow?.version === "1.1.0");

  const answers: number[] = [];
  const load = { on: true };
  const clients = Array.from({ length: 2 }, async (_, client) => {
    for (let index = client; load.on; index += 2) answers.push((await agent.infer(index)).status);
  });
  await plane.desire(device, [{ ...newer, attempt: 3 }]);
  await agent.waitForVersion("1.1.0");
  load.on = false;
  await Promise.all(clients);
  expect(answers.length).toBeGreaterThan(20);
  expect(answers.filter((status) => status !== 200)).toEqual([]);
  expect(agent.slot).toMatchObject({ previous: { version: "1.0.0" }, shadow: null });
  expect(await agent.accuracy(100)).toBeGreaterThan(0.94);
});

it("refuses a shadow beside a release that it does not run, and one whose release nobody signed", async () => {
  await using plane = await MiniPlane.start();
  await using agent = new AgentHarness(plane);
  expect((await agent.enrol()).code).toBe(0);
  const base = toSlot(plane, "1.0.0");
  const newer = toSlot(plane, "1.1.0");
  await plane.desire(device, [base]);
  agent.run();
  await agent.waitForVersion("1.0.0");
  await plane.desire(device, [toShadowed(newer, base, 2)]);
  await agent.waitFor("it is rejected", () => agent.slot?.job?.state === "rejected");
  expect(agent.slot).toMatchObject({ active: { version: "1.0.0" }, serving: true, job: { code: "base_differs" } });

  const forged = toShadowed(base, newer, 3);
  const { shadow } = forged;
  if (shadow === null || shadow === undefined) throw new Error("no shadow");
  const content = { ...shadow.release.signed.content, version: "9.9.9" };
  const release = { ...shadow.release, signed: { ...shadow.release.signed, content } };
  await plane.desire(device, [{ ...forged, shadow: { ...shadow, release } }]);
  await agent.waitFor("the desired state is refused", () => plane.reported.at(-1)?.refusal?.code === "release_invalid");
  expect(agent.slot).toMatchObject({ active: { version: "1.0.0" }, serving: true });
});

it("takes the shadow, not the active build, to be the reason when the serving process dies and nothing else is named", async () => {
  await using plane = await MiniPlane.start();
  await using agent = new AgentHarness(plane);
  expect((await agent.enrol()).code).toBe(0);
  const base = toSlot(plane, "1.0.0");
  await plane.desire(device, [base]);
  agent.run();
  await agent.waitForVersion("1.0.0");
  await plane.desire(device, [toShadowed(base, toSlot(plane, "1.1.0"), 2)]);
  await agent.waitFor("the shadow runs", () => agent.slot?.shadow?.version === "1.1.0");
  const [serving, ...others] = readChildren(agent.process.pid);
  expect(others).toEqual([]);
  killNow(serving ?? 0);
  await agent.waitFor("the job says so", () => agent.slot?.job?.code === "crash");
  expect(agent.slot).toMatchObject({ active: { version: "1.0.0" }, shadow: null, job: { state: "rolled_back" } });
  await agent.waitFor("the active build serves again", () => agent.slot?.serving === true);
});
