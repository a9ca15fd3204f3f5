import { CodedError } from "@fairlead/kernel";
import type { KeyObject } from "node:crypto";
import type { TpmErrorCode } from "./byte-reader.ts";
import { parseTpmPublic, toPublicKey, type TpmAttribute, type TpmPublic } from "./tpm-public.ts";

const must: readonly TpmAttribute[] = ["fixedTpm", "fixedParent", "sensitiveDataOrigin", "sign"];
/** A restricted key cannot sign a request; one that decrypts could be used to open what was meant for another. */
const mustNot: readonly TpmAttribute[] = ["restricted", "decrypt"];

function refuse(message: string): never {
  throw new CodedError<TpmErrorCode>("attestation_refused", message, {
    hint: "let the agent make its key in the TPM: remove its identity folder and enrol again",
  });
}

/**
 * Is this the public area of a key that a TPM made and never gives away, and is it the key that asks?
 * Alone it is a claim: only an activated credential proves that the area with this name is in a known TPM.
 * @throws CodedError `tpm_malformed` · `attestation_refused`
 */
export function checkDeviceKey(publicArea: Uint8Array, asking: KeyObject): TpmPublic {
  const area = parseTpmPublic(publicArea);
  const lacking = must.filter((name) => !area.attributes.has(name));
  if (lacking.length > 0) refuse(`the key is not bound to its TPM: it lacks ${lacking.join(", ")}`);
  const surplus = mustNot.filter((name) => area.attributes.has(name));
  if (surplus.length > 0) refuse(`the key is not a plain signing key: it has ${surplus.join(", ")}`);
  if (area.key.kind !== "p256") refuse("the key is not an ECDSA key on P-256");
  if (!toPublicKey(area.key).equals(asking)) refuse("the public area is not of the key that signed the request");
  return area;
}
