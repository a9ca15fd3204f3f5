import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RolloutStatus } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCliJson } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { loadDigits, toInferRequest } from "../support/digits.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";
import { toSettableClock, whyNoShiftedClock } from "../support/shifted-clock.ts";

const reason = whyNoShiftedClock();

describe.skipIf(reason !== undefined)(
  `a clock that is years off at the start${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  () => {
    const dir = mkdtempSync(join(tmpdir(), "fairlead-wrong-clock-"));
    const offset = join(dir, "offset");
    const plane = new TestPlane({ dir: join(dir, "plane"), args: ["--offline-after", "2"] });
    const device = new TestDevice({
      ...{ name: "cam-1", dir: join(dir, "cam-1"), labels: { site: "lab" }, telemetryWindowMs: 500 },
      env: toSettableClock(offset),
    });
    const read = (file: string): string => readFileSync(join(device.dataDir, file), "utf8");
    const readEndpoint = (): string => read("run/endpoint").trim();
    /** What a client on the device gets, network or not. */
    const infer = async (): Promise<number> => {
      const [digit] = loadDigits("test");
      if (digit === undefined) throw new Error("there are no digits");
      const url = `${readEndpoint()}/v2/models/digit-reader/infer`;
      const { body, headers } = toInferRequest(digit);
      const answer = await fetch(url, { method: "POST", headers, body: new Uint8Array(body) });
      await answer.arrayBuffer();
      return answer.status;
    };

    beforeAll(async () => {
      writeFileSync(offset, "+0\n");
      await plane.start();
      await publishDigitReader(plane, "1.1.0");
      await device.enrol(plane, await createEnrolmentToken(plane, 1));
      device.run();
      await eventually("it is online", async () => (await plane.device("cam-1")).online);
      const what = ["--model", "digit-reader", "--version", "1.1.0", "--slot", "reader", "--selector", "site=lab"];
      const how = ["--stages", "all=100%", "--soak", "0s", "--device-soak", "0s"];
      const { rolloutId } = await runCliJson<RolloutStatus>(["rollouts", "create", ...what, ...how], plane.cliEnv);
      await eventually("it serves", async () => (await plane.rollout(rolloutId)).state === "succeeded", 60_000);
      await device.process.kill("SIGTERM");
    }, 150_000);
    afterAll(async () => {
      await device[Symbol.asyncDispose]();
      await plane[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true, force: true });
    });

    it.each([
      { year: 1970, shift: "-56y" },
      { year: 2040, shift: "+14y" },
    ])(
      "of $year trusts nobody, serves what is there, keeps its identity, and joins once the clock is set",
      async ({ shift }) => {
        const certificate = read("identity/device.crt");
        const generation = (await plane.device("cam-1")).reported?.generation;
        writeFileSync(offset, `${shift}\n`);
        rmSync(join(device.dataDir, "run", "endpoint"));
        device.run();
        await eventually("it serves", async () => (await infer()) === 200, 60_000);
        await eventually("it trusts nobody", () =>
          /certificate is not yet valid|has expired|not yet valid/u.test(device.process.output),
        );
        expect((await plane.device("cam-1")).online).toBe(false);
        expect(read("identity/device.crt")).toBe(certificate);

        writeFileSync(offset, "+0\n");
        const back = await eventually(
          "it joins",
          async () => {
            const seen = await plane.device("cam-1");
            return seen.online && seen.integrity === "verified" && seen;
          },
          90_000,
        );
        expect(back.reported?.generation).toBe(generation);
        expect(Math.abs(back.clockSkewMs ?? Infinity)).toBeLessThan(60_000);
        expect(await infer()).toBe(200);
        await eventually("what it measured meanwhile is stored, none of it in the future", async () => {
          const { telemetry, lastWindow } = await plane.device("cam-1");
          return telemetry.deadLetters === 0 && (lastWindow?.t1Ms ?? Infinity) < Date.now() + 60_000;
        });
        await device.process.kill("SIGTERM");
      },
      240_000,
    );
  },
);
