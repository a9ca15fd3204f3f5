import type { StageSpec } from "@fairlead/protocol";
import { describe, expect, test } from "vitest";
import { toSpec } from "../testing/fleet.ts";
import { judgeHealth } from "./health.ts";

interface Standing {
  readonly total: number;
  readonly succeeded?: number;
  readonly failed?: number;
  readonly expired?: boolean;
}

function toStage(successRatio: number, maxFailures: Partial<StageSpec["maxFailures"]>): StageSpec {
  const stage = { name: "all", target: { kind: "percent", percent: 100 }, successRatio, maxFailures };
  const [parsed] = toSpec({ stages: [stage] }).stages;
  if (parsed === undefined) throw new Error("the specification has no stage");
  return parsed;
}

function judge(stage: StageSpec, { total, succeeded = 0, failed = 0, expired = false }: Standing): string {
  const { kind, code } = judgeHealth(stage, { total, succeeded, failed, expired });
  return `${kind} ${code}`;
}

const count = (most: number) => ({ count: most, ratio: null });
const ratio = (most: number) => ({ count: null, ratio: most });
const both = (most: number, share: number) => ({ count: most, ratio: share });
const unlimited = { count: null, ratio: null };

describe("health", () => {
  test.each<[string, number, Partial<StageSpec["maxFailures"]>, Standing, string]>([
    ["no failure while none may fail", 0.5, count(0), { total: 10 }, "wait devices_working"],
    ["one failure where none may fail", 0.5, count(0), { total: 10, failed: 1 }, "fail too_many_failures"],
    ["exactly as many failures as may be", 0.5, count(2), { total: 10, failed: 2 }, "wait devices_working"],
    ["one more than may be", 0.5, count(2), { total: 10, failed: 3 }, "fail too_many_failures"],
    [
      "one more, though enough succeeded",
      0.5,
      count(2),
      { total: 10, succeeded: 7, failed: 3 },
      "fail too_many_failures",
    ],
    ["exactly the share that may fail", 0.5, ratio(0.2), { total: 10, failed: 2 }, "wait devices_working"],
    ["one beyond the share", 0.5, ratio(0.2), { total: 10, failed: 3 }, "fail too_many_failures"],
    [
      "a share that falls between two devices, below",
      0.5,
      ratio(0.25),
      { total: 10, failed: 2 },
      "wait devices_working",
    ],
    [
      "a share that falls between two devices, above",
      0.5,
      ratio(0.25),
      { total: 10, failed: 3 },
      "fail too_many_failures",
    ],
    ["the count, when it is the stricter one", 0.1, both(1, 0.5), { total: 10, failed: 2 }, "fail too_many_failures"],
    ["the share, when it is the stricter one", 0.1, both(9, 0.1), { total: 10, failed: 2 }, "fail too_many_failures"],
    ["every failure, where nothing limits them", 0, unlimited, { total: 3, failed: 3 }, "pass enough_succeeded"],
    ["exactly enough that can still succeed", 0.8, count(9), { total: 10, failed: 2 }, "wait devices_working"],
    ["one too few that can still succeed", 0.8, count(9), { total: 10, failed: 3 }, "fail success_unreachable"],
    ["one failure where all must succeed", 1, count(9), { total: 10, failed: 1 }, "fail success_unreachable"],
    ["exactly enough successes", 0.8, count(9), { total: 10, succeeded: 8, failed: 2 }, "pass enough_succeeded"],
    ["one success too few", 0.8, count(9), { total: 10, succeeded: 7, failed: 2 }, "wait devices_working"],
    ["one success too few at the end", 0.8, count(9), { total: 10, succeeded: 7, expired: true }, "fail stage_timeout"],
    ["enough successes at the end", 0.8, count(9), { total: 10, succeeded: 8, expired: true }, "pass enough_succeeded"],
    ["no device yet", 1, count(0), { total: 0 }, "wait stage_empty"],
    ["no device at the end", 1, count(0), { total: 0, expired: true }, "fail stage_empty"],
  ])("judges %s", (...[, successRatio, maxFailures, standing, verdict]) => {
    expect(judge(toStage(successRatio, maxFailures), standing)).toBe(verdict);
  });

  test("says how many failed and how many may", () => {
    expect(judgeHealth(toStage(0.5, count(2)), { total: 10, succeeded: 5, failed: 3, expired: false })).toMatchObject({
      ...{ kind: "fail", value: 0.5, samples: 10 },
      why: "3 of 10 devices failed, at most 2 may",
    });
    expect(judgeHealth(toStage(0.5, ratio(0.125)), { total: 8, succeeded: 0, failed: 2, expired: false }).why).toBe(
      "2 of 8 devices failed, at most 12.5 % may",
    );
    expect(judgeHealth(toStage(0.8, count(9)), { total: 10, succeeded: 4, failed: 3, expired: false }).why).toBe(
      "4 of 10 devices succeeded, 80 % are needed; 3 failed, so it cannot be reached",
    );
  });
});
