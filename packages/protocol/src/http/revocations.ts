import * as z from "zod";
import { deviceIdSchema, timestampMsSchema } from "../ids.ts";

/** `GET /api/v1/revocations`: what a broker that the plane does not run has to refuse. */
export const revocationsSchema = z.object({
  /** Certificate revocation list (RFC 5280), PEM, signed by the plane's authority. */
  crl: z.string(),
  /** From when on the list counts no more, and a broker that has no newer one admits nobody. */
  nextUpdateMs: timestampMsSchema,
  /** Devices without a certificate that counts: also a session of theirs that goes on is to be cut off. */
  devices: z.array(deviceIdSchema),
});
export type Revocations = z.output<typeof revocationsSchema>;
