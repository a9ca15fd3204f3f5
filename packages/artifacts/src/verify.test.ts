import type { Audience, Command } from "@fairlead/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toDocumentDigest } from "./digest.ts";
import { generateKeyPair, parseSigningKey } from "./keys.ts";
import { signDocument } from "./sign.ts";
import {
  commandKey,
  here,
  nowMs,
  planeKey,
  toBuild,
  toCommand,
  toDesiredState,
  toRelease,
} from "./testing/documents.ts";
import { verifyCommand, verifyDesiredState, verifyRelease, type VerifyDesiredStateOptions } from "./verify.ts";

const toCode = (verification: { readonly kind: string; readonly code?: string }) =>
  verification.code ?? verification.kind;
const state = (extra: Parameters<typeof toDesiredState>[0] = {}) => signDocument(toDesiredState(extra), planeKey);
const checkState = (envelope: unknown, extra: Partial<VerifyDesiredStateOptions> = {}) =>
  toCode(verifyDesiredState(envelope, { ...here, ...extra }));

describe("verification", () => {
  it("accepts what was signed, also after a journey through JSON text", () => {
    const release = { signed: toRelease() };
    expect(verifyRelease(JSON.parse(JSON.stringify(release)), here)).toEqual({
      kind: "verified",
      document: release.signed,
      digest: toDocumentDigest(release.signed),
    });
    expect(checkState(JSON.parse(JSON.stringify(state())))).toBe("verified");
    expect(toCode(verifyCommand(signDocument(toCommand(), planeKey), here))).toBe("verified");
  });

  it("accepts a document whose signer left defaults out, since the signer signs the complete form", () => {
    const { description: _, ...content } = toRelease().content;
    const sparse = { ...toRelease(), content } as ReturnType<typeof toRelease>;
    expect(toCode(verifyRelease({ signed: sparse }, here))).toBe("verified");
  });

  it("refuses every change of one byte in a signed document", () => {
    const text = JSON.stringify(state());
    const original = JSON.parse(text) as unknown;
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bytes = Buffer.from(text);
        bytes[at] = bytes[at]! ^ flip;
        let changed: unknown;
        try {
          changed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
        } catch {
          return;
        }
        // Another spelling of the very same value (the last digit of a long fraction) is no change.
        if (JSON.stringify(changed) === JSON.stringify(original)) return;
        expect(checkState(changed)).not.toBe("verified");
      }),
      { numRuns: 3_000 },
    );
  });

  it("refuses every single bit of the signature that is not the signed one", () => {
    const { signed, signatures } = state();
    const sig = signatures[0]!.sig;
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (const at of [0, 40, 85]) {
      for (const letter of alphabet) {
        if (letter === sig[at]) continue;
        const changed = sig.slice(0, at) + letter + sig.slice(at + 1);
        expect(checkState({ signed, signatures: [{ ...signatures[0], sig: changed }] })).toBe("signature_invalid");
      }
    }
  });

  it("keeps keys apart: a key trusted for one type signs no other", () => {
    expect(checkState(signDocument(toDesiredState(), commandKey))).toBe("signature_unknown_key");
    expect(toCode(verifyCommand(signDocument(toCommand(), commandKey), here))).toBe("verified");
    const stranger = parseSigningKey(generateKeyPair().privateKeyPem);
    expect(checkState(signDocument(toDesiredState(), stranger))).toBe("signature_unknown_key");
  });

  it("admits a rotation: an unknown second signature does no harm, a wrong one by a known key does", () => {
    const own = state();
    const stranger = signDocument(toDesiredState(), parseSigningKey(generateKeyPair().privateKeyPem));
    expect(checkState({ ...own, signatures: [...stranger.signatures, ...own.signatures] })).toBe("verified");
    expect(checkState({ ...own, signatures: [...own.signatures, ...own.signatures] })).toBe("envelope_malformed");
    expect(checkState({ ...own, signatures: state({ generation: 8 }).signatures })).toBe("signature_invalid");
  });

  it("takes a release from its not-before on, by the device's own time, and up to its end", () => {
    const at = (time: number, extra: Parameters<typeof toRelease>[0] = {}) =>
      toCode(verifyRelease({ signed: toRelease({ notBeforeMs: nowMs + 10_000, ...extra }) }, { ...here, nowMs: time }));
    expect(at(nowMs + 9_999)).toBe("not_yet_valid");
    expect(at(nowMs + 10_000)).toBe("verified");
    const { expiresAtMs } = toRelease();
    expect(at(expiresAtMs + 999)).toBe("verified");
    expect(at(expiresAtMs + 1_000)).toBe("expired");
    expect(at(Number.NaN)).toBe("not_yet_valid");
  });

  it("A5 takes a release only with the firmware that it asks for, and refuses what the device does not know of itself", () => {
    const needs = (firmware: Record<string, string>) =>
      toCode(verifyRelease({ signed: toRelease({ audience: { firmware } }) }, here));
    expect(needs({ "os.kernel": "6.1" })).toBe("verified");
    expect(needs({ "os.kernel": "5.10.200" })).toBe("verified");
    expect(needs({ "os.kernel": "6.1.1" })).toBe("foreign_audience");
    expect(needs({ "os.kernel": "6.1", "l4t.version": "36.3" })).toBe("foreign_audience");
    expect(needs({ toString: "1" })).toBe("foreign_audience");
  });

  it("asks for no time of a release that is followed already, so that the other slots can still be told", () => {
    const over = toRelease({ issuedAtMs: nowMs - 900_000, expiresAtMs: nowMs - 500_000 });
    const [slot] = toDesiredState().slots;
    const asked = state({ slots: [{ ...slot!, release: { signed: over } }] });
    expect(checkState(asked)).toBe("release_invalid");
    const followed = toDocumentDigest(over);
    expect(checkState(asked, { isFollowed: (release) => toDocumentDigest(release) === followed })).toBe("verified");
    expect(checkState(asked, { isFollowed: () => false })).toBe("release_invalid");
    expect(checkState(asked, { isFollowed: (_, name) => name === "other" })).toBe("release_invalid");
  });

  it("names the first check that fails", () => {
    const other = `sha256:${"f".repeat(64)}`;
    const checkCommand = (command: Command) => toCode(verifyCommand(signDocument(command, planeKey), here));
    expect(checkState(signDocument(toCommand(), planeKey))).toBe("wrong_type");
    expect(checkState(state({ tenant: "globex" }))).toBe("foreign_tenant");
    expect(checkState(state({ device: "cam-2" }))).toBe("foreign_device");
    expect(checkState(state({ enrolledKey: other }))).toBe("foreign_enrolment");
    expect(checkCommand(toCommand({ tenant: "globex" }))).toBe("foreign_tenant");
    expect(checkCommand(toCommand({ device: "cam-2" }))).toBe("foreign_device");
    expect(checkCommand(toCommand({ enrolledKey: other }))).toBe("foreign_enrolment");
    expect(checkCommand(toCommand({ deadlineAtMs: nowMs - 1_001 }))).toBe("expired");
    expect(checkState(state({ expiresAtMs: nowMs - 1_001 }))).toBe("expired");
    expect(checkState(state({ issuedAtMs: nowMs + 1_001 }))).toBe("not_yet_valid");
    expect(checkState(state(), { nowMs: Number.NaN })).toBe("not_yet_valid");
    expect(checkState(state({ slots: [...toDesiredState().slots, ...toDesiredState().slots] }))).toBe(
      "envelope_malformed",
    );
    for (const junk of [
      null,
      undefined,
      7,
      "x",
      [],
      {},
      { signed: null },
      { ...state(), extra: 1 },
      { ...state(), signatures: [] },
    ]) {
      expect(checkState(junk)).toBe("envelope_malformed");
    }
    const polluted: unknown = JSON.parse(JSON.stringify(state()).replace('"v":1', '"v":1,"__proto__":{"x":1}'));
    expect(checkState(polluted)).toBe("envelope_malformed");
  });

  it("tolerates a clock that is a day off when the caller says so", () => {
    const day = 86_400_000;
    expect(checkState(state(), { nowMs: nowMs + day, maxSkewMs: day })).toBe("verified");
    expect(checkState(state(), { nowMs: nowMs - day, maxSkewMs: day })).toBe("verified");
    expect(checkState(state(), { nowMs: nowMs + 2 * day, maxSkewMs: day })).toBe("expired");
  });

  it("lets no generation come back", () => {
    const current = state();
    const applied = { generation: 7, digest: toDocumentDigest(current.signed) };
    expect(checkState(current, { applied })).toBe("already_applied");
    expect(checkState(state({ artifactUrls: ["https://other.example/{digest}"] }), { applied })).toBe(
      "stale_generation",
    );
    expect(checkState(state({ generation: 6 }), { applied })).toBe("stale_generation");
    expect(checkState(state({ generation: 8 }), { applied })).toBe("verified");
  });

  it("verifies every embedded release too", () => {
    const slot = toDesiredState().slots[0]!;
    const releases = [
      { signed: toRelease({ audience: { profiles: ["raspberry-pi-5"] } }) },
      { signed: toRelease({ tenant: "globex" }) },
      { signed: toRelease({ expiresAtMs: nowMs - 2_000 }) },
    ];
    for (const release of releases) {
      expect(
        checkState(
          state({
            slots: [
              { ...slot, slot: "other", release: null },
              { ...slot, release },
            ],
          }),
        ),
      ).toBe("release_invalid");
    }
  });

  it("A5 refuses a release for another kind of board, another fleet or a newer agent, before anything is fetched", () => {
    const check = (audience: Audience) => toCode(verifyRelease({ signed: toRelease({ audience }) }, here));
    expect(check({ profiles: ["generic-x86"], fleets: ["south", "north"], minAgentVersion: "0.2.0" })).toBe("verified");
    expect(check({ profiles: ["raspberry-pi-5"] })).toBe("foreign_audience");
    expect(check({ fleets: ["south"] })).toBe("foreign_audience");
    expect(check({ minAgentVersion: "0.2.1" })).toBe("foreign_audience");
    expect(check({ minAgentVersion: "0.1.9" })).toBe("verified");
    const nowhere = { ...here, self: { ...here.self, fleet: null } };
    expect(toCode(verifyRelease({ signed: toRelease({ audience: { fleets: ["north"] } }) }, nowhere))).toBe(
      "foreign_audience",
    );
  });

  it("refuses to sign what the protocol does not admit", () => {
    expect(() =>
      signDocument(
        toDesiredState({
          slots: [
            {
              ...toDesiredState().slots[0]!,
              release: { signed: toRelease({ content: { ...toRelease().content, builds: [] } }) },
            },
          ],
        }),
        planeKey,
      ),
    ).toThrow(/schema/u);
    const odd = toBuild({ artifact: { digest: "sha256:x", sizeBytes: 1 } });
    expect(() =>
      signDocument(
        toDesiredState({
          slots: [
            {
              ...toDesiredState().slots[0]!,
              release: { signed: toRelease({ content: { ...toRelease().content, builds: [odd] } }) },
            },
          ],
        }),
        planeKey,
      ),
    ).toThrow(/schema/u);
  });
});
