import { X509Certificate } from "node:crypto";

const dayMs = 86_400_000;
/** From here on an operator hears of the end at every start. */
const soonDays = 14;

export interface CertificateLife {
  /** Whole days; negative once it has expired. */
  readonly leftDays: number;
  /** What is wrong and what to do; null while there is time. */
  readonly warning: string | null;
}

/** How long the plane will go on admitting this certificate, by this device's clock. */
export function toCertificateLife(certificatePem: string, nowMs: number): CertificateLife {
  const { validToDate } = new X509Certificate(certificatePem);
  const leftDays = Math.floor((validToDate.getTime() - nowMs) / dayMs);
  const on = validToDate.toISOString();
  if (leftDays < 0) return { leftDays, warning: `the certificate expired on ${on}; enrol again` };
  if (leftDays < soonDays)
    return {
      leftDays,
      warning: `the certificate expires on ${on} and was not renewed yet: let the device reach its plane, or enrol again`,
    };
  return { leftDays, warning: null };
}
