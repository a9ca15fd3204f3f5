import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RolloutStatus } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCliJson } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";
import { toShiftedClock, whyNoShiftedClock } from "../support/shifted-clock.ts";

const reason = whyNoShiftedClock();
const dayMs = 86_400_000;

describe.skipIf(reason !== undefined)(
  `a clock one day off${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  () => {
    const dir = mkdtempSync(join(tmpdir(), "fairlead-clock-"));
    const plane = new TestPlane({ dir: join(dir, "plane") });

    beforeAll(async () => {
      await plane.start();
      await publishDigitReader(plane, "1.0.0");
    });
    afterAll(async () => {
      await plane[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true, force: true });
    });

    it.each([
      { name: "slow-1", offset: "-1d", skewMs: -dayMs },
      { name: "fast-1", offset: "+1d", skewMs: dayMs },
    ])(
      "lets $name ($offset) enrol, install and report, and shows the skew",
      async ({ name, offset, skewMs }) => {
        await using device = new TestDevice({
          ...{ name, dir: join(dir, name), labels: { clock: name }, telemetryWindowMs: 1_000 },
          env: toShiftedClock(offset),
        });
        await device.enrol(plane, await createEnrolmentToken(plane, 1));
        device.run();
        await eventually("the device is online", async () => (await plane.device(name)).online);
        const target = [
          "--model",
          "digit-reader",
          "--version",
          "1.0.0",
          "--slot",
          "reader",
          "--selector",
          `clock=${name}`,
        ];
        const { rolloutId } = await runCliJson<RolloutStatus>(
          ["rollouts", "create", ...target, "--stages", "all=100%", "--soak", "0s", "--device-soak", "0s"],
          plane.cliEnv,
        );
        await eventually("the rollout succeeds", async () => (await plane.rollout(rolloutId)).state === "succeeded");
        const detail = await eventually("telemetry is stored", async () => {
          const seen = await plane.device(name);
          return seen.lastWindow !== null && seen;
        });
        expect(Math.abs((detail.clockSkewMs ?? 0) - skewMs)).toBeLessThan(60_000);
        expect(detail.slots[0]?.serving).toBe(true);
      },
      90_000,
    );
  },
);
