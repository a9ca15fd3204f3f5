import { createHash, X509Certificate } from "node:crypto";
import { createTestAuthority } from "@fairlead/bus/testing";
import { describe, expect, it } from "vitest";
import { requireCa, toCaFingerprint } from "./token.ts";

const secret = `fle_${"a".repeat(43)}`;

describe("an enrolment token", () => {
  it("names the authority, and only that one is accepted", async () => {
    const [own, other] = await Promise.all([createTestAuthority(), createTestAuthority("Other")]);
    const fingerprint = createHash("sha256").update(new X509Certificate(own.ca).raw).digest("hex");
    expect(toCaFingerprint(`${secret}.${fingerprint}`)).toBe(fingerprint);
    expect(() => requireCa(own.ca, fingerprint)).not.toThrow();
    for (const ca of [other.ca, "", "no certificate"]) expect(() => requireCa(ca, fingerprint)).toThrow(/./u);
  });

  it.each(["", secret, `${secret}.`, `${secret}.${"g".repeat(64)}`, `fla_${"a".repeat(43)}.${"0".repeat(64)}`])(
    "is refused when it is malformed: %j",
    (token) => expect(() => toCaFingerprint(token)).toThrow(expect.objectContaining({ code: "token_malformed" })),
  );
});
