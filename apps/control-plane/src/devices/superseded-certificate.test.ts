import { noSightings, watchIdentity } from "@fairlead/integrity";
import type { Device } from "@fairlead/store";
import { expect, it } from "vitest";
import { toSuperseded } from "./superseded-certificate.ts";

const nowMs = 1_800_000_000_000;
const fingerprint = `sha256:${"a".repeat(64)}`;
const known = { certificateFingerprint: fingerprint, enrolledAtMs: nowMs - 5_000, identityKey: null };
const toDevice = (more: Partial<Device>): Device => ({ identityWatch: null, ...known, ...more }) as Device;
const show = (watch: Device["identityWatch"]) =>
  watchIdentity(watch ?? noSightings, {
    kind: "certificate-shown",
    ...{ fingerprint, address: "10.0.0.1", atMs: nowMs + 60_000 },
  }).finding;

it("remembers the certificate that ends, since the device's enrolment at most", () => {
  const { identityWatch } = toSuperseded(toDevice({}), nowMs);
  expect(identityWatch?.endedCertificates).toEqual([{ id: fingerprint, untilMs: nowMs, forMs: 5_000 }]);
  expect(show(identityWatch)).toMatchObject({ code: "superseded_certificate_used" });
});

it("remembers no session of a device whose key is in a TPM, and nothing where no certificate was in force", () => {
  for (const more of [{ identityKey: "spki" }, { certificateFingerprint: null }]) {
    const { identityWatch } = toSuperseded(toDevice(more), nowMs);
    expect(identityWatch).toBeNull();
    expect(show(identityWatch)).toBeNull();
  }
});
