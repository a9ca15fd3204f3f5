import fc from "fast-check";
import { expect, it } from "vitest";
import { isPlainTarget } from "./plain-requests.ts";

it.each([
  "/",
  "/healthz",
  "/api/v1/devices?selector=a%3Db",
  "/api/v1/artifacts/sha256:00",
  "/api/v1/artifacts/sha256%3A00",
  "/api/v1/models/m/versions/1.0.0-rc.1",
  "/api/v1/trust/metadata/1.root.json",
])("takes %s", (target) => expect(isPlainTarget(target)).toBe(true));

it.each([
  "",
  "*",
  "https://elsewhere/api/v1/tokens",
  "//admin",
  "/api//v1/tokens",
  "/api/v1/tokens/",
  "/api/v1/..;/tokens",
  "/api/v1/../v1/tokens",
  "/api/v1/%2e%2e/tokens",
  "/api/v1/./tokens",
  "/api/v1/%2574okens",
  "/api/v1/%5Ctokens",
  "/api/v1/\\tokens",
  "/api/v1%2Ftokens",
  "/api/v1/tokens;a=b",
  "/api/v1/tokens%00",
  "/api/v1/tokens%0d%0ax",
  "/api/v1/tokens%",
  "/api/v1/tokens%zz",
  "/api/v1/tokens%c0%af",
  "/api/v1/t\u00f6kens",
  "/api/v1/tokens#x",
  "/api/v1/tokens ",
])("A55 refuses %s", (target) => expect(isPlainTarget(target)).toBe(false));

it("A55 takes no path that decoding or joining would change into another one", () => {
  const parts = fc.constantFrom("/", "\\", ".", "..", "%2e", "%2f", "%5c", "%25", ";", "a", "API", "%61", "v1", "%00");
  fc.assert(
    fc.property(fc.array(parts, { maxLength: 12 }), (pieces) => {
      const target = `/${pieces.join("")}`;
      if (!isPlainTarget(target)) return;
      expect(new URL(target, "https://plane.example").pathname).toBe(target);
      const decoded = decodeURIComponent(target);
      expect(decodeURIComponent(decoded)).toBe(decoded);
      expect(decoded.split("/")).toHaveLength(target.split("/").length);
    }),
    { numRuns: 2_000 },
  );
});
