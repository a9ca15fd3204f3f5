import { expect, it } from "vitest";
import { suggestName } from "./suggest.ts";

it("finds the name that was meant", () => {
  expect(suggestName("berlin-l", ["porto-1", "berlin-1", "berlin-22"])).toBe("berlin-1");
  expect(suggestName("digit", ["digit-reader", "face-finder"])).toBe("digit-reader");
});

it("says nothing when no name is near", () => {
  expect(suggestName("zebra", ["porto-1", "berlin-1"])).toBeNull();
});
