import { expect, it } from "vitest";
import { HotCode } from "./hot-code.ts";

it("asks for earlier optimisation once, when the process has answered 64 requests", () => {
  const set: string[] = [];
  const hotCode = new HotCode((flag) => void set.push(flag));
  for (let answers = 0; answers < 63; answers += 1) hotCode.note();
  expect(set).toEqual([]);
  for (let answers = 0; answers < 1_000; answers += 1) hotCode.note();
  expect(set).toEqual(["--invocation-count-for-maglev=100", "--invocation-count-for-turbofan=400"]);
});
