import { ClientError } from "@fairlead/client";
import { httpStatusByCode, type HttpErrorCode } from "@fairlead/protocol";
import { expect, it } from "vitest";
import { CliError } from "./errors.ts";
import { exitCodes, toExitCode } from "./exit-codes.ts";
import { exitByRolloutState } from "./rollouts/outcome.ts";

it("never maps an error of the API to success", () => {
  for (const code of Object.keys(httpStatusByCode))
    expect(toExitCode(new ClientError(code as HttpErrorCode, "x"))).toBeGreaterThan(0);
});

it.each([
  ["not_found", 3],
  ["forbidden", 4],
  ["unauthenticated", 4],
  ["version_exists", 5],
  ["precondition_failed", 5],
  ["request_timeout", 6],
  ["server_unreachable", 7],
  ["internal", 1],
] as const)("maps %s to %i", (code, exit) => {
  expect(toExitCode(new ClientError(code, "x"))).toBe(exit);
});

it("maps a mistake on the command line to 2 and the unknown to 1", () => {
  expect(toExitCode(new CliError("usage", "x"))).toBe(exitCodes.usage);
  expect(toExitCode(new Error("x"))).toBe(exitCodes.failed);
  expect(toExitCode({ code: "toString" })).toBe(exitCodes.failed);
});

it("ends a rollout with 0 only when it succeeded", () => {
  const zero = Object.entries(exitByRolloutState).filter(([, exit]) => exit === 0);
  expect(zero).toEqual([["succeeded", 0]]);
  expect(exitByRolloutState.rolled_back).toBe(8);
});
