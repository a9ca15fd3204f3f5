import { parseTpmPublic, toPublicKey } from "@fairlead/integrity/tpm";
import { createHash, type KeyObject } from "node:crypto";
import type { TpmTools } from "./tpm-tools.ts";

/** A key that only the TPM which made it can use: its public area, and its private part wrapped by that TPM; base64. */
export interface TpmKeyBlobs {
  readonly publicArea: string;
  readonly privateArea: string;
}

const storage = "restricted|decrypt|fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda";
const signing = "sign|fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda";

/** The same template gives the same storage key as long as the TPM's owner seed lasts, so it is made anew each time. */
async function createParent(tools: TpmTools): Promise<void> {
  await tools.create("tpm2_createprimary", [
    ...["-Q", "-C", "o", "-g", "sha256", "-G", "ecc256:aes128cfb"],
    ...["-a", storage, "-c", "parent.ctx"],
  ]);
}

export async function createTpmKey(tools: TpmTools): Promise<TpmKeyBlobs> {
  await createParent(tools);
  await tools.create("tpm2_create", [
    ...["-Q", "-C", "parent.ctx", "-g", "sha256", "-G", "ecc256:ecdsa"],
    ...["-a", signing, "-u", "key.pub", "-r", "key.priv"],
  ]);
  const [publicArea, privateArea] = [await tools.read("key.pub"), await tools.read("key.priv")];
  return { publicArea: publicArea.toString("base64"), privateArea: privateArea.toString("base64") };
}

/** Puts the key into the TPM, as `key.ctx`. @throws CodedError `tpm_foreign`: this TPM did not make it */
export async function loadTpmKey(tools: TpmTools, blobs: TpmKeyBlobs): Promise<void> {
  await createParent(tools);
  await tools.write("loaded.pub", Buffer.from(blobs.publicArea, "base64"));
  await tools.write("loaded.priv", Buffer.from(blobs.privateArea, "base64"));
  const blob = ["-u", "loaded.pub", "-r", "loaded.priv"];
  await tools.create("tpm2_load", ["-Q", "-C", "parent.ctx", ...blob, "-c", "key.ctx"]);
}

/** ECDSA with SHA-256 by the loaded key, DER. */
export async function signWithTpm(tools: TpmTools, message: Uint8Array): Promise<Buffer> {
  await tools.write("digest", createHash("sha256").update(message).digest());
  const how = ["-g", "sha256", "-s", "ecdsa", "-f", "plain"];
  await tools.create("tpm2_sign", ["-Q", "-c", "key.ctx", ...how, "-d", "digest", "-o", "signature"]);
  return await tools.read("signature");
}

export function toPublicKeyOf(blobs: TpmKeyBlobs): KeyObject {
  return toPublicKey(parseTpmPublic(Buffer.from(blobs.publicArea, "base64")).key);
}
