import { describe, expect, it } from "vitest";
import { withoutSecrets } from "./without-secrets.ts";

const fingerprint = "0f".repeat(32);
const token = (prefix: string) => `${prefix}_${"aB3_-".repeat(8)}xyz.${fingerprint}`;

describe("text without secrets", () => {
  it.each([
    ["a token of the API", `unknown command '${token("fla")}'`, "unknown command 'fla_…'"],
    ["an enrolment token", `/x/${token("fle")}?y`, "/x/fle_…?y"],
    ["two in a row", `${token("fla")} ${token("fle")}`, "fla_… fle_…"],
    ["a part of one that was cut off", `fla_${"a".repeat(16)}`, "fla_…"],
    ["a webhook's secret", `got whsec_${Buffer.alloc(32, 7).toString("base64")}!`, "got whsec_…!"],
    ["a password in an address", "no answer from https://ada:pass@host:1/x", "no answer from https://…@host:1/x"],
    ["a token in an address", `https://u:${token("fla")}@host/`, "https://…@host/"],
  ])("does not repeat %s", (_what, text, shown) => {
    expect(withoutSecrets(text)).toBe(shown);
  });

  it.each(["a flat fla_1 file", "see https://host/a@b and mail ada@host", "whsec_", "https://host:8443/?q=a@b"])(
    "leaves as it is: %s",
    (text) => {
      expect(withoutSecrets(text)).toBe(text);
    },
  );

  it("needs no more time for text that was made to need much", () => {
    const start = performance.now();
    for (const piece of ["fla_", "://", "whsec_", "://a", "fla_a"]) withoutSecrets(piece.repeat(20_000));
    expect(performance.now() - start).toBeLessThan(1_000);
  });
});
