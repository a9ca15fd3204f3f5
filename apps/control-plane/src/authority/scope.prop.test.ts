import { isSelected, parseSelector, type Labels } from "@fairlead/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isRolloutInScope, narrowSelector, noScope, parseScope, wholeFleet } from "./scope.ts";

const key = fc.constantFrom("site", "arch", "canary", "tier");
const value = fc.constantFrom("berlin", "munich", "arm64", "1", "");
const values = fc.uniqueArray(value, { minLength: 1, maxLength: 3 });
const term = fc.oneof(
  fc.tuple(key, value).map(([name, text]) => `${name}=${text}`),
  fc.tuple(key, value).map(([name, text]) => `${name}!=${text}`),
  fc.tuple(key, values).map(([name, list]) => `${name} in (${list.join(",")})`),
  fc.tuple(key, values).map(([name, list]) => `${name} notin (${list.join(", ")})`),
  key,
  key.map((name) => `!${name}`),
);
const selector = fc.array(term, { maxLength: 4 }).map((terms) => terms.join(","));
const part = fc.array(term, { minLength: 1, maxLength: 3 }).map((terms) => terms.join(","));
const labels = fc.dictionary(key, value, { maxKeys: 4, noNullPrototype: true });
const fleet = fc
  .array(labels, { maxLength: 6 })
  .map((list): ReadonlyMap<string, Labels> => new Map(list.map((entry, index) => [`d${index}`, entry])));

describe("a narrowed selector", () => {
  it("names exactly what the scope and the selector both name", () => {
    fc.assert(
      fc.property(part, selector, labels, (scope, wanted, device) => {
        const both = isSelected(parseSelector(narrowSelector(parseScope(scope), wanted)), device);
        expect(both).toBe(isSelected(parseSelector(scope), device) && isSelected(parseSelector(wanted), device));
      }),
    );
  });

  it("stays as it is when it is narrowed again, and for the whole fleet", () => {
    fc.assert(
      fc.property(part, selector, (scope, wanted) => {
        const once = narrowSelector(parseScope(scope), wanted);
        expect(narrowSelector(parseScope(scope), once)).toBe(once);
        expect(narrowSelector(wholeFleet, wanted)).toBe(wanted);
      }),
    );
  });

  it("is refused when both together are too long, and when nothing is in reach", () => {
    const long = `key in (${"a".repeat(60)},${Array.from({ length: 6 }, (_, index) => `b${index}`.repeat(30)).join(",")})`;
    expect(() => narrowSelector(parseScope(long), long.replace("key", "other"))).toThrow(
      expect.objectContaining({ code: "selector_invalid" }),
    );
    expect(() => narrowSelector(noScope, "")).toThrow(expect.objectContaining({ code: "selector_invalid" }));
  });
});

describe("a rollout", () => {
  it("is in scope only when every device that it names or would name is", () => {
    fc.assert(
      fc.property(part, selector, fleet, (text, wanted, devices) => {
        const scope = parseScope(text);
        const named = [...devices.keys()].slice(0, 2);
        if (!isRolloutInScope(scope, { selector: wanted, devices: named }, devices)) return;
        for (const [device, own] of devices) {
          const touched = named.includes(device) || isSelected(parseSelector(wanted), own);
          if (touched) expect(isSelected(parseSelector(text), own)).toBe(true);
        }
      }),
    );
  });

  it("whose selector was narrowed is in scope, whatever the fleet becomes", () => {
    fc.assert(
      fc.property(part, selector, fleet, (text, wanted, devices) => {
        const scope = parseScope(text);
        const own = { selector: narrowSelector(scope, wanted), devices: [] };
        expect(isRolloutInScope(scope, own, devices)).toBe(true);
      }),
    );
  });

  it("of nobody is not everybody's: without devices its selector must state the scope", () => {
    const berlin = parseScope("site=berlin");
    const empty = new Map<string, Labels>();
    expect(isRolloutInScope(berlin, { selector: "site=munich", devices: [] }, empty)).toBe(false);
    expect(isRolloutInScope(berlin, { selector: "", devices: [] }, empty)).toBe(false);
    expect(isRolloutInScope(berlin, { selector: "arch=arm64,site=berlin", devices: [] }, empty)).toBe(true);
    expect(isRolloutInScope(wholeFleet, { selector: "", devices: [] }, empty)).toBe(true);
    expect(isRolloutInScope(noScope, { selector: "site=berlin", devices: [] }, empty)).toBe(false);
  });

  it("that named a device which is gone, or moved away, is out of scope", () => {
    const berlin = parseScope("site=berlin");
    const devices = new Map<string, Labels>([["a", { site: "berlin" }]]);
    const rollout = { selector: "site=berlin", devices: ["a", "b"] };
    expect(isRolloutInScope(berlin, rollout, devices)).toBe(false);
    expect(isRolloutInScope(berlin, rollout, new Map([...devices, ["b", { site: "munich" }]]))).toBe(false);
    expect(isRolloutInScope(berlin, rollout, new Map([...devices, ["b", { site: "berlin" }]]))).toBe(true);
  });
});
