import { CodedError, toErrorMessage, type Logger, type Service } from "@fairlead/kernel";
import { deviceCertificateSchema, renewResponseSchema } from "@fairlead/protocol";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { writeFileDurably } from "../state/install-file.ts";
import type { Credentials } from "./credentials.ts";
import { createCertificateRequest, toFileSigner } from "./device-key.ts";
import { identityFiles } from "./identity.ts";
import { callPlane } from "./plane-http.ts";

export interface CertificateRenewalOptions {
  /** The identity folder. */
  readonly folder: string;
  readonly device: string;
  readonly apiUrl: string;
  readonly credentials: Credentials;
  /** Best known time: a device whose clock is unset must not think that it has years. */
  readonly nowMs: () => number;
  /** Calls back after each connect to the plane, until the returned function is called. */
  readonly onConnect: (listener: () => void) => () => void;
  readonly logger: Logger;
}

const checkMs = 3_600_000;
const refusedMs = 60_000;

/** How soon to look again: within the hour, and for a certificate that has only hours, four times in what is left. */
export function toCheckMs(certificatePem: string, nowMs: number): number {
  const leftMs = new X509Certificate(certificatePem).validToDate.getTime() - nowMs;
  return leftMs <= 0 ? checkMs : Math.min(checkMs, Math.max(1_000, leftMs / 4));
}

/** The last third of a certificate's life is for renewing it: a plane may be away for most of that. */
export function isRenewalDue(certificatePem: string, nowMs: number): boolean {
  const { validFromDate, validToDate } = new X509Certificate(certificatePem);
  const endMs = validToDate.getTime();
  return nowMs >= endMs - (endMs - validFromDate.getTime()) / 3;
}

/** Renews the device's certificate over the present one, with the same key, long before its end. */
export class CertificateRenewal implements Service {
  readonly name = "certificate-renewal";
  readonly #options: CertificateRenewalOptions;
  #timer: NodeJS.Timeout | undefined;
  #undo: (() => void) | undefined;
  #running: Promise<void> | null = null;
  #notBeforeMs = 0;

  constructor(options: CertificateRenewalOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#undo = this.#options.onConnect(() => this.#check());
    this.#schedule();
  }

  #schedule(): void {
    const { credentials, nowMs } = this.#options;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#check();
        this.#schedule();
      },
      toCheckMs(credentials.cert, nowMs()),
    ).unref();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#undo?.();
    await this.#running;
  }

  #check(): void {
    const { credentials, nowMs, logger } = this.#options;
    const now = nowMs();
    if (this.#running !== null || now < this.#notBeforeMs || !isRenewalDue(credentials.cert, now)) return;
    const soonMs = toCheckMs(credentials.cert, now);
    this.#notBeforeMs = now + soonMs;
    this.#running = this.#renew()
      .catch((error: unknown) => {
        // A plane that does not answer is asked again soon; one that refuses has its reasons.
        this.#notBeforeMs = now + Math.min(refusedMs, soonMs);
        logger.warn("the certificate could not be renewed", { reason: toErrorMessage(error) });
      })
      .finally(() => {
        this.#running = null;
        // A new certificate has another life than the one by which the next look was planned.
        if (this.#timer !== undefined) this.#schedule();
      });
  }

  async #renew(): Promise<void> {
    const { credentials, device, apiUrl, folder, logger } = this.#options;
    const { ca, key } = credentials;
    const url = new URL("/api/v1/device/certificate", apiUrl).href;
    const csr = await createCertificateRequest(toFileSigner(key), device);
    const call = { url, ca, body: { csr }, schema: renewResponseSchema };
    const { certificate } = await callPlane({ ...call, identity: { key, cert: credentials.cert } });
    requireOwn(certificate, { ca, key, device });
    // On the disk before it is used: its first use ends the old one.
    writeFileDurably(join(folder, identityFiles.certificate), certificate);
    credentials.replace({ key, cert: certificate });
    const used = await callPlane({ url, ca, schema: deviceCertificateSchema, identity: { key, cert: certificate } });
    logger.info("the certificate was renewed", { until: new Date(used.notAfterMs).toISOString() });
  }
}

/** @throws CodedError `certificate_unusable` */
export function requireOwn(
  certificatePem: string,
  own: { readonly ca: string; readonly key: string; readonly device: string },
) {
  const certificate = new X509Certificate(certificatePem);
  const good =
    certificate.checkPrivateKey(createPrivateKey(own.key)) &&
    certificate.verify(new X509Certificate(own.ca).publicKey) &&
    certificate.subject.split("\n").includes(`CN=${own.device}`);
  if (good) return;
  throw new CodedError("certificate_unusable", "the certificate is not for this device's key and name", {
    hint: "check the control plane; the present certificate stays in use",
  });
}
