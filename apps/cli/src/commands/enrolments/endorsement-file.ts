import { createPublicKey, X509Certificate, type KeyObject } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { parseTpmPublic, toKeyFingerprint, toPublicKey } from "@fairlead/integrity/tpm";
import { toErrorMessage } from "@fairlead/kernel";
import { CliError } from "../../errors.ts";

const maxBytes = 65_536;

/** What a maker, a TPM or OpenSSL writes: certificate (PEM, DER), public key (PEM, DER), TPM2B_PUBLIC. */
const forms: readonly ((bytes: Buffer) => KeyObject)[] = [
  (bytes) => new X509Certificate(bytes).publicKey,
  (bytes) => createPublicKey({ key: bytes, format: "pem" }),
  (bytes) => createPublicKey({ key: bytes, format: "der", type: "spki" }),
  (bytes) => toPublicKey(parseTpmPublic(bytes).key),
];

/** Fingerprint of the endorsement key in a file. @throws CliError `file_unreadable` */
export function readEndorsementFile(path: string): string {
  let bytes: Buffer;
  try {
    if (statSync(path).size > maxBytes) throw new Error(`longer than ${maxBytes} bytes`);
    bytes = readFileSync(path);
  } catch (error) {
    throw new CliError("file_unreadable", `${path}: ${toErrorMessage(error)}`, { cause: error });
  }
  // A private key would be read as its public one, and has no business here.
  if (!bytes.includes("PRIVATE KEY"))
    for (const parse of forms)
      try {
        return toKeyFingerprint(parse(bytes));
      } catch {
        // Of another form, then.
      }
  throw new CliError("file_unreadable", `${path} holds no endorsement key`, {
    hint: "give its certificate or public key (PEM or DER), or the file that tpm2_createek -u wrote",
  });
}
