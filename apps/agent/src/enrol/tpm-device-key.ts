import { hasErrorCode, toErrorCode } from "@fairlead/kernel";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileDurably } from "../state/install-file.ts";
import { createTpmKey, loadTpmKey, type TpmKeyBlobs } from "../tpm/tpm-key.ts";
import type { TpmTools } from "../tpm/tpm-tools.ts";
import { identityFiles, tpmKeySchema } from "./identity.ts";

function readBlobs(path: string): TpmKeyBlobs | null {
  try {
    const parsed = tpmKeySchema.safeParse(JSON.parse(readFileSync(path, "utf8")));
    return parsed.success ? parsed.data : null;
  } catch (error) {
    if (hasErrorCode(error, "ENOENT") || error instanceof SyntaxError) return null;
    throw error;
  }
}

/**
 * The device's key, loaded in the TPM. One from an enrolment that was not finished is used again; one of another TPM
 * is given up, because an enrolment is asked for by a person who knows which TPM this is.
 */
export async function openTpmKey(
  tools: TpmTools,
  folder: string,
  onForeign: (error: unknown) => void,
): Promise<TpmKeyBlobs> {
  const path = join(folder, identityFiles.tpmKey);
  const known = readBlobs(path);
  if (known !== null) {
    try {
      await loadTpmKey(tools, known);
      return known;
    } catch (error) {
      if (toErrorCode(error) !== "tpm_foreign") throw error;
      onForeign(error);
    }
  }
  const blobs = await createTpmKey(tools);
  writeFileDurably(path, JSON.stringify(blobs));
  await loadTpmKey(tools, blobs);
  return blobs;
}
