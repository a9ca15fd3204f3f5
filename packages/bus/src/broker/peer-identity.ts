import { createHash } from "node:crypto";
import type { PeerCertificate } from "node:tls";
import { deviceIdSchema, tenantSchema } from "@fairlead/protocol";

/** Who a connection is, by its client certificate and nothing else: O = tenant, CN = device. */
export interface PeerIdentity {
  readonly tenant: string;
  readonly device: string;
  /** `sha256:` of the certificate's DER. */
  readonly fingerprint: string;
  /** Serial number in lower-case hexadecimal, without leading zeros. */
  readonly serialNumber: string;
  /** The end of the certificate. */
  readonly notAfterMs: number;
  /** The socket's other end, where there is one. */
  readonly address?: string;
}

/** Undefined when the certificate does not name exactly one tenant and one device in our alphabet. */
export function parsePeerIdentity(certificate: PeerCertificate | undefined): PeerIdentity | undefined {
  // An absent certificate is reported as an empty object.
  if (certificate?.raw === undefined) return undefined;
  // A repeated attribute arrives as an array, which the schemas refuse.
  const tenant = tenantSchema.safeParse(certificate.subject.O);
  const device = deviceIdSchema.safeParse(certificate.subject.CN);
  if (!tenant.success || !device.success) return undefined;
  return {
    tenant: tenant.data,
    device: device.data,
    fingerprint: `sha256:${createHash("sha256").update(certificate.raw).digest("hex")}`,
    serialNumber: certificate.serialNumber.toLowerCase().replace(/^0+(?=.)/u, ""),
    notAfterMs: Date.parse(certificate.valid_to),
  };
}
