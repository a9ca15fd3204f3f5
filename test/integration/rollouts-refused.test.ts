import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runWarmCli } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";

const dir = mkdtempSync(join(tmpdir(), "fairlead-refused-"));
const plane = new TestPlane({ dir: join(dir, "plane") });
const device = new TestDevice({ name: "lone-1", dir: join(dir, "lone-1"), labels: { site: "lab" } });

beforeAll(async () => {
  await plane.start();
  await publishDigitReader(plane, "1.0.0", { classified: false });
  await publishDigitReader(plane, "1.1.0");
  await device.enrol(plane, await createEnrolmentToken(plane, 1));
}, 120_000);
afterAll(async () => {
  await device[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

const create = (version: string, selector: string, policy: readonly string[]) =>
  runWarmCli(
    [
      ...["rollouts", "create", "--model", "digit-reader", "--version", version, "--slot", "reader"],
      ...["--selector", selector, ...policy],
    ],
    plane.cliEnv,
  );

it.each([
  {
    code: "selector_empty",
    why: "names no device",
    version: "1.0.0",
    selector: "site=nowhere",
    policy: ["--stages", "all=100%"],
  },
  {
    code: "stages_incomplete",
    why: "reaches 60 %",
    version: "1.0.0",
    selector: "site=lab",
    policy: ["--stages", "canary=10%,most=60%"],
  },
  {
    ...{ code: "gate_unfeedable", why: "nothing to compare with", version: "1.1.0", selector: "site=lab" },
    policy: ["--stages", "all=100%", "--gate", "confidence-drop<=0.1"],
  },
  {
    ...{ code: "gate_unfeedable", why: "leaves no time for evidence", version: "1.0.0", selector: "site=lab" },
    policy: ["--stages", "all=100%", "--soak", "0s", "--gate", "errors<=1%"],
  },
  {
    code: "release_missing",
    why: "has no release",
    version: "9.9.9",
    selector: "site=lab",
    policy: ["--stages", "all=100%"],
  },
])("refuses a rollout with $code and says: $why", async ({ code, why, version, selector, policy }) => {
  const answer = await create(version, selector, policy);
  expect(answer.code).not.toBe(0);
  expect(answer.stderr).toContain(code);
  expect(answer.stderr).toContain(why);
  expect(answer.stderr).toContain("hint:");
  expect((await plane.get<{ items: unknown[] }>("/api/v1/rollouts")).items).toEqual([]);
});

it("refuses a second rollout of the same slot and devices while the first goes on", async () => {
  const first = await create("1.0.0", "site=lab", ["--stages", "all=100%", "--device-soak", "1s"]);
  expect(first.code, first.stderr).toBe(0);
  const second = await create("1.0.0", "site in (lab,attic)", ["--stages", "all=100%"]);
  expect(second.code).toBe(5);
  expect(second.stderr).toContain("rollout_in_progress");
});

it("offers the release to a device that was silent when the rollout began", async () => {
  device.run();
  await eventually("the device serves", async () => (await plane.device(device.name)).slots[0]?.serving, 45_000);
});

it("refuses to compare the confidence with a control whose release measures no classes", async () => {
  await eventually("the device says what it runs", async () =>
    (await plane.device(device.name)).reported?.slots.some(({ active }) => active?.version === "1.0.0"),
  );
  const policy = ["--stages", "beside=100%,all=100%", "--shadow", "beside=100%"];
  const answer = await create("1.1.0", "site=lab", [...policy, "--gate", "beside:confidence-drop<=0.1"]);
  expect(answer.code).not.toBe(0);
  expect(answer.stderr).toContain("gate_unfeedable");
  expect(answer.stderr).toContain("measures no classes");
  expect(answer.stderr).toContain("lone-1 with 1.0.0");
  expect(answer.stderr).toContain("hint:");
  expect((await plane.get<{ items: unknown[] }>("/api/v1/rollouts")).items).toHaveLength(1);
});
