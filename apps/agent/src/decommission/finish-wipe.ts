import { CodedError, toErrorMessage, type Logger } from "@fairlead/kernel";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { eraseDeviceKeys } from "../enrol/erase-keys.ts";
import { identityFiles, loadIdentity, type Identity } from "../enrol/identity.ts";
import { obtainSession } from "../enrol/session-certificate.ts";
import type { DataPaths } from "../paths.ts";
import type { TpmConfig } from "../tpm/tpm-config.ts";
import { sayWiped, type SayWipedOptions } from "./say-wiped.ts";
import { listLeftovers, wipeData } from "./wipe-data.ts";
import { removeWipeIntent } from "./wipe-intent.ts";

export interface FinishWipeOptions {
  readonly paths: DataPaths;
  /** The TPM to ask where the key is in one. */
  readonly tpm: TpmConfig;
  readonly random: () => number;
  readonly logger: Logger;
  /** Ends the wait for the plane; the wipe goes on at the next start. */
  readonly signal: AbortSignal;
}

/** Undefined once the keys are gone, or when nothing can be read of them: then there is nobody to speak for. */
function findIdentity({ paths, logger }: FinishWipeOptions): Identity | undefined {
  try {
    return loadIdentity(paths.identity);
  } catch (error) {
    logger.info("no identity is left to tell the plane with", { reason: toErrorMessage(error) });
    return undefined;
  }
}

/** A device whose key is in a TPM has no certificate on its disk that counts: its TPM vouches once more. */
function toShow(identity: Identity, { paths, tpm }: FinishWipeOptions): SayWipedOptions["show"] {
  const { key, certificatePem: cert, caPem: ca, tenant, device, apiUrl } = identity;
  if (key.kind === "file") return async () => ({ key: key.pem, cert });
  // The identity's folder is the only one that is left, and goes last.
  return async () =>
    await obtainSession({ tenant, device, apiUrl, ca, tpm, blobs: key.blobs, workFolder: paths.identity });
}

/**
 * From the intent on the disk to an empty device: data, word to the plane, keys, the intent itself. Each step may be
 * repeated, so whoever is killed in between begins again at the first.
 * @returns true when the device is empty
 * @throws CodedError `wipe_incomplete`; the intent then stays
 */
export async function finishWipe(options: FinishWipeOptions): Promise<boolean> {
  const { paths, logger, random, signal } = options;
  const tellPlane = (identity: Identity): Promise<boolean> =>
    sayWiped({ identity, show: toShow(identity, options), random, logger, signal });
  wipeData(paths);
  const left = listLeftovers(paths);
  if (left.length > 0)
    throw new CodedError("wipe_incomplete", `${left.join(", ")} cannot be removed`, {
      hint: "check who holds these files; the agent goes on at its next start",
    });
  const identity = findIdentity(options);
  // The word has to leave while there is a key to say it with.
  if (identity !== undefined && !(await tellPlane(identity))) return false;
  // Without this file there is no identity: whoever begins again here does not speak with half a key.
  rmSync(join(paths.identity, identityFiles.identity), { force: true });
  eraseDeviceKeys(paths.identity);
  rmSync(paths.identity, { recursive: true, force: true });
  removeWipeIntent(paths);
  logger.info("this device is decommissioned and empty", { data: paths.root });
  return true;
}
