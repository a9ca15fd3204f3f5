import { describe, expect, it } from "vitest";
import { isConfirmed } from "./observe.ts";

const ended = { state: "rolled_back", rolloutId: "rol-1", attempt: 1 } as const;

describe("whether remediation may judge what a slot runs", () => {
  it("is so once the job that was asked for last has ended", () => {
    expect(isConfirmed({ ...ended, state: "soaking" }, { rolloutId: "rol-1", attempt: 1 })).toBe(false);
    expect(isConfirmed(ended, { rolloutId: "rol-1", attempt: 1 })).toBe(true);
    expect(isConfirmed(null, undefined)).toBe(true);
    expect(isConfirmed(ended, undefined)).toBe(true);
  });

  it("is not so while a rollout's newer request is on its way, such as the one to go back", () => {
    expect(isConfirmed(ended, { rolloutId: "rol-1", attempt: 2 })).toBe(false);
    expect(isConfirmed(ended, { rolloutId: "rol-2", attempt: 1 })).toBe(false);
  });

  it("is so after remediation itself changed what is asked of the slot", () => {
    expect(isConfirmed(ended, { rolloutId: null, attempt: 2 })).toBe(true);
  });
});
