import { CodedError, toBackoffDelayMs, toErrorCode, toErrorMessage, type Logger, type Service } from "@fairlead/kernel";
import {
  renewResponseSchema,
  sessionChallengeSchema,
  toSessionStatement,
  type SessionRequest,
} from "@fairlead/protocol";
import { generateKeyPairSync, sign, X509Certificate } from "node:crypto";
import type { TpmConfig } from "../tpm/tpm-config.ts";
import { loadTpmKey, signWithTpm, type TpmKeyBlobs } from "../tpm/tpm-key.ts";
import { withTpm } from "../tpm/tpm-tools.ts";
import { requireOwn } from "./certificate-renewal.ts";
import type { Credentials, Shown } from "./credentials.ts";
import { callPlane } from "./plane-http.ts";

export interface SessionCertificateOptions {
  readonly tenant: string;
  readonly device: string;
  readonly apiUrl: string;
  readonly credentials: Credentials;
  readonly blobs: TpmKeyBlobs;
  readonly tpm: TpmConfig;
  /** A private folder for what is exchanged with the TPM. */
  readonly workFolder: string;
  readonly random: () => number;
  readonly logger: Logger;
}

const again = { baseMs: 1_000, maxMs: 300_000 } as const;
/** No life of a certificate makes this device ask more often, or its timer overflow. */
const [leastMs, mostMs] = [60_000, 12 * 3_600_000] as const;

/** Has the key in the TPM vouch for a key that lives in this process only, and gets a certificate for that. */
export async function obtainSession(
  options: Omit<SessionCertificateOptions, "random" | "logger" | "credentials"> & { readonly ca: string },
): Promise<Shown> {
  const { tenant, device, apiUrl, ca, tpm, blobs, workFolder } = options;
  const url = new URL("/api/v1/device/session", apiUrl).href;
  const asking = { url: `${url}/challenge`, ca, body: { device }, schema: sessionChallengeSchema };
  const { challenge } = await callPlane(asking);
  const { privateKey, publicKey: spki } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const publicKey = spki.export({ type: "spki", format: "der" }).toString("base64");
  const statement = Buffer.from(toSessionStatement(tenant, { device, challenge, publicKey }), "utf8");
  const identitySignature = await withTpm({
    config: tpm,
    folder: workFolder,
    use: async (tools) => {
      await loadTpmKey(tools, blobs);
      return await signWithTpm(tools, statement);
    },
  });
  const body: SessionRequest = {
    ...{ device, challenge, publicKey },
    identitySignature: identitySignature.toString("base64"),
    keySignature: sign("sha256", statement, privateKey).toString("base64"),
  };
  const { certificate } = await callPlane({ url, ca, body, schema: renewResponseSchema });
  const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  requireOwn(certificate, { ca, key, device });
  return { key, cert: certificate };
}

/**
 * Keeps a device whose key is in a TPM able to connect: a session's certificate at the start and again at half of its
 * life. Without the TPM that holds the key there is none, and nothing else stands in for it.
 */
export class SessionCertificate implements Service {
  readonly name = "session-certificate";
  readonly #options: SessionCertificateOptions;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | null = null;
  #attempt = 0;
  #stopped = false;

  constructor(options: SessionCertificateOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#begin();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    // What waits for the plane or the TPM has time limits of its own; a stop does not wait for them.
    await Promise.race([this.#running, new Promise((resolve) => setTimeout(resolve, 300).unref())]);
  }

  #begin(): void {
    this.#running = this.#obtain().then((afterMs) => {
      this.#running = null;
      if (!this.#stopped) this.#timer = setTimeout(() => this.#begin(), afterMs).unref();
    });
  }

  /** Milliseconds until the next one. */
  async #obtain(): Promise<number> {
    const { credentials, logger, random, ...rest } = this.#options;
    try {
      const shown = await obtainSession({ ...rest, ca: credentials.ca });
      if (this.#stopped) return mostMs;
      credentials.replace(shown);
      this.#attempt = 0;
      const { validToDate } = new X509Certificate(shown.cert);
      logger.info("the TPM vouched for this session", { until: validToDate.toISOString() });
      return Math.min(mostMs, Math.max(leastMs, (validToDate.getTime() - Date.now()) / 2));
    } catch (error) {
      const afterMs = toBackoffDelayMs(again, this.#attempt, random());
      this.#attempt += 1;
      const code = toErrorCode(error) ?? "unexpected";
      const hint = error instanceof CodedError ? error.hint : undefined;
      const fields = { code, reason: toErrorMessage(error), ...(hint === undefined ? {} : { hint }) };
      // Models go on serving; only what concerns the plane has to wait.
      if (code.startsWith("tpm_"))
        logger.error("no session with the plane: its TPM does not vouch for this device", fields);
      else logger.warn("no session with the plane yet", fields);
      return afterMs;
    }
  }
}
