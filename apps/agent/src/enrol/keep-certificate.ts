import type { Logger, Service } from "@fairlead/kernel";
import type { AgentConfig } from "../config.ts";
import type { DataPaths } from "../paths.ts";
import { toTpmOfKey } from "../tpm/tpm-config.ts";
import { CertificateRenewal } from "./certificate-renewal.ts";
import type { Credentials } from "./credentials.ts";
import type { Identity } from "./identity.ts";
import { SessionCertificate } from "./session-certificate.ts";

export interface KeepCertificateOptions {
  readonly identity: Identity;
  readonly credentials: Credentials;
  readonly paths: DataPaths;
  readonly tpm: AgentConfig["tpm"];
  /** Best known time. */
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly onConnect: (listener: () => void) => () => void;
  readonly logger: Logger;
}

/** What keeps a device's certificate good: its key in a file renews it, its key in a TPM vouches for each session. */
export function keepCertificate(options: KeepCertificateOptions): Service {
  const { identity, credentials, paths, tpm, nowMs, random, onConnect, logger } = options;
  const { tenant, device, apiUrl, key } = identity;
  const own = { device, apiUrl, credentials, logger };
  return key.kind === "tpm"
    ? new SessionCertificate({
        ...{ ...own, tenant, blobs: key.blobs, workFolder: paths.run, random },
        tpm: toTpmOfKey(tpm),
      })
    : new CertificateRenewal({ ...own, folder: paths.identity, nowMs, onConnect });
}
