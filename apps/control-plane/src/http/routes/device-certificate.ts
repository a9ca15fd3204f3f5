import { CodedError } from "@fairlead/kernel";
import {
  deviceCertificateSchema,
  renewRequestSchema,
  renewResponseSchema,
  type HttpErrorCode,
} from "@fairlead/protocol";
import type { Renewals } from "../../devices/renewal.ts";
import type { RateLimit } from "../middleware/rate-limit.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

const toDevice = (actor: string): string => actor.slice("device:".length);

/** What a device does about its own certificate; who it is, its certificate says. */
export function createDeviceCertificateRoutes(renewals: Renewals, limit: RateLimit): AnyRoute[] {
  return [
    defineRoute({
      method: "POST",
      path: "/api/v1/device/certificate",
      summary: "Issue another certificate to the device that asks; it replaces the present one at its first use.",
      permission: "device",
      audit: ["device.issue-certificate"],
      request: { body: renewRequestSchema },
      response: renewResponseSchema,
      errors: ["csr_invalid", "rate_limited"],
      bodyBytes: 16_384,
      // A kept answer would hand out a certificate that is no longer the pending one.
      idempotent: false,
      handle: async ({ body, by }) => {
        limit.take(by.actor);
        return { status: 201, body: await renewals.renew(toDevice(by.actor), body.csr, by) };
      },
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/device/certificate",
      summary: "The certificate by which the calling device is known.",
      permission: "device",
      request: {},
      response: deviceCertificateSchema,
      errors: ["not_found"],
      handle: async ({ actor }) => {
        const { certificateSerial, certificateNotAfterMs } = await renewals.find(toDevice(actor));
        if (certificateSerial === null || certificateNotAfterMs === null)
          throw new CodedError<HttpErrorCode>("not_found", "the device has no certificate", { hint: "enrol it again" });
        return { body: { serial: certificateSerial, notAfterMs: certificateNotAfterMs } };
      },
    }),
  ];
}
