import { expect, it } from "vitest";
import { toLanes } from "./lanes.ts";

it("are one on an accelerator, and on processors as many as runs find room, at least one", () => {
  expect(toLanes({ lanes: null, threads: 1, providers: ["webgpu", "cpu"] }, 8)).toBe(1);
  expect(toLanes({ lanes: null, threads: 2, providers: ["cpu"] }, 5)).toBe(2);
  expect(toLanes({ lanes: null, threads: 4, providers: ["cpu"] }, 2)).toBe(1);
});

it("are what the configuration says, where it says something", () => {
  expect(toLanes({ lanes: 3, threads: 4, providers: ["webgpu"] }, 2)).toBe(3);
});
