import type { AuditEntry } from "@fairlead/protocol";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toEntry } from "../support/entries.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import { OwnedProcess } from "../support/process.ts";
import { TestPlane } from "../support/plane.ts";
import { toShiftedClock, whyNoShiftedClock } from "../support/shifted-clock.ts";

const reason = whyNoShiftedClock();

describe.skipIf(reason !== undefined)(
  `a device certificate that expired${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  () => {
    const dir = mkdtempSync(join(tmpdir(), "fairlead-expired-"));
    const device = new TestDevice({ name: "old-1", dir: join(dir, "old-1"), labels: {}, telemetryWindowMs: 500 });
    const args = ["--device-cert-ttl", "1", "--offline-after", "2"];
    const plane = new TestPlane({ dir: join(dir, "plane"), args, env: toShiftedClock("-3d") });

    beforeAll(async () => {
      // A plane three days ago gives a certificate for one day.
      await plane.start();
      await device.enrol(plane, await createEnrolmentToken(plane, 1));
      await plane.process.kill("SIGTERM");
      await plane.start({});
    });
    afterAll(async () => {
      await device[Symbol.asyncDispose]();
      await plane[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true, force: true });
    });

    it("is refused by the plane, named by the agent and its doctor, and replaced by a new enrolment", async () => {
      device.run();
      await eventually("the agent says what is wrong and what to do", () =>
        /certificate expired on .*enrol/u.test(device.process.output),
      );
      await eventually("the plane refuses the session, and says why", async () => {
        const { items } = await plane.get<{ items: AuditEntry[] }>("/api/v1/audit?limit=200");
        return items.some((entry) => entry.action === "broker.refuse" && /expired/iu.test(entry.reason));
      });
      expect((await plane.device("old-1")).online).toBe(false);
      await using doctor = new OwnedProcess({
        name: "doctor",
        entry: toEntry("agent"),
        args: ["doctor", "--data", device.dataDir],
      });
      expect(await doctor.exited()).not.toBe(0);
      expect(doctor.output).toMatch(/expired on .*enrol again/u);

      await device.process.kill("SIGTERM");
      await device.enrol(plane, await createEnrolmentToken(plane, 1));
      device.run();
      await eventually("the device is online", async () => (await plane.device("old-1")).online);
    }, 90_000);
  },
);
