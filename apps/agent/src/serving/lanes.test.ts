import { expect, it } from "vitest";
import { toLanes } from "./lanes.ts";

it.each([
  ["an accelerator is one", { lanes: null, threads: 1, providers: ["webgpu", "cpu"] }, 8, 1],
  ["processors are as many as runs find room", { lanes: null, threads: 2, providers: ["cpu"] }, 5, 2],
  [
    "runs of more threads than there are processors still find one",
    { lanes: null, threads: 4, providers: ["cpu"] },
    2,
    1,
  ],
  ["the configuration has the last word", { lanes: 3, threads: 4, providers: ["webgpu"] }, 2, 3],
] as const)("lanes: %s", (_what, asked, processors, expected) => {
  expect(toLanes(asked, processors)).toBe(expected);
});
