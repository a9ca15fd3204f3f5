import { toDigest } from "@fairlead/artifacts";
import { createPublicKey } from "node:crypto";
import { toPublicKeyOf } from "../tpm/tpm-key.ts";
import type { DeviceKey } from "./identity.ts";

/** What the plane calls this enrolment: `sha256:` of the DER (SubjectPublicKeyInfo) of the key that signed its request. */
export function toEnrolledKey(key: DeviceKey): string {
  const publicKey = key.kind === "file" ? createPublicKey(key.pem) : toPublicKeyOf(key.blobs);
  return toDigest(publicKey.export({ type: "spki", format: "der" }));
}
