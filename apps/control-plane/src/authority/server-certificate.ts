import { createPrivateKey, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { toErrorMessage, type Clock, type Logger, type Service } from "@fairlead/kernel";
import type { Store } from "@fairlead/store";
import { toOwnDecision } from "../audit/own-decision.ts";
import type { AuditLog } from "../context.ts";
import { issueServerPair, type Authority, type KeyAndCertificate } from "./certificates.ts";
import { loadFile, saveFile } from "./files.ts";

const renewBeforeMs = 30 * 86_400_000;
/** One comparison of two numbers. Often, since a clock that was set right may be months on at once. */
const checkEveryMs = 10_000;
/** After a renewal that failed, for instance because the disk is full. */
const retryMs = 600_000;

export interface ServerPairOptions {
  readonly folder: string;
  readonly serverNames: readonly string[];
  readonly nowMs: number;
}

function isGood(pair: KeyAndCertificate, ca: string, options: ServerPairOptions): boolean {
  try {
    const certificate = new X509Certificate(pair.certificatePem);
    return (
      certificate.checkPrivateKey(createPrivateKey(pair.keyPem)) &&
      certificate.checkIssued(new X509Certificate(ca)) &&
      certificate.verify(new X509Certificate(ca).publicKey) &&
      certificate.validToDate.getTime() > options.nowMs + renewBeforeMs &&
      options.serverNames.every(
        (name) => certificate.checkHost(name) !== undefined || certificate.checkIP(name) !== undefined,
      )
    );
  } catch {
    return false;
  }
}

/** The pair in the folder, or a new one in its place where it is missing, for other names, or in its last 30 days. */
export async function loadServerPair(authority: Authority, options: ServerPairOptions): Promise<KeyAndCertificate> {
  const keyPem = loadFile(join(options.folder, "server.key"));
  const certificatePem = loadFile(join(options.folder, "server.pem"));
  if (keyPem !== undefined && certificatePem !== undefined) {
    const pair = { keyPem, certificatePem };
    if (isGood(pair, authority.certificatePem, options)) return pair;
  }
  const pair = await issueServerPair(authority, { names: options.serverNames, nowMs: options.nowMs });
  saveFile(join(options.folder, "server.key"), pair.keyPem);
  saveFile(join(options.folder, "server.pem"), pair.certificatePem, 0o644);
  return pair;
}

export interface ServerRenewalOptions extends Omit<ServerPairOptions, "nowMs"> {
  readonly authority: Authority;
  /** What the listeners have now. */
  readonly server: KeyAndCertificate;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: Store;
  readonly audit: AuditLog;
  /** Gives the pair to whoever listens; what is connected already stays so. */
  readonly use: (pair: KeyAndCertificate) => void;
}

const toFacts = ({ certificatePem }: KeyAndCertificate) => {
  const { serialNumber, validToDate } = new X509Certificate(certificatePem);
  return { serial: serialNumber.toLowerCase(), notAfterMs: validToDate.getTime() };
};

/** Renews the plane's own certificate while the plane runs: it may be up for longer than a certificate lives. */
export function createServerRenewal(options: ServerRenewalOptions): Service {
  const { audit, authority, clock, folder, logger, serverNames, store, use } = options;
  let used = toFacts(options.server);
  let notBeforeMs = -Infinity;
  let running: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;

  const renew = async (): Promise<void> => {
    const pair = await loadServerPair(authority, { folder, serverNames, nowMs: clock.nowMs() });
    const before = used;
    use(pair);
    used = toFacts(pair);
    await store.transaction((tx) =>
      audit.append(tx, {
        ...{ ...toOwnDecision("authority"), action: "plane.renew-certificate", subject: "plane" },
        reason: `the certificate of HTTPS and MQTT ends at ${new Date(before.notAfterMs).toISOString()}`,
        change: { before, after: used },
      }),
    );
  };
  const check = (): void => {
    const isDue = used.notAfterMs <= clock.nowMs() + renewBeforeMs && clock.monotonicMs() >= notBeforeMs;
    if (!isDue || running !== undefined) return;
    notBeforeMs = clock.monotonicMs() + retryMs;
    running = renew()
      .catch((error: unknown) =>
        logger.error("the plane's own certificate could not be renewed", {
          ...{ error: toErrorMessage(error), notAfter: new Date(used.notAfterMs).toISOString() },
        }),
      )
      .finally(() => (running = undefined));
  };
  return {
    name: "server certificate",
    start: async () => {
      timer = setInterval(check, checkEveryMs).unref();
    },
    stop: async () => {
      clearInterval(timer);
      await running;
    },
  };
}
