import {
  caResponseSchema,
  createTokenResponseSchema,
  enrolmentSchema,
  type CreateTokenRequest,
  type CreateTokenResponse,
  type Enrolment,
} from "@fairlead/protocol";
import type { Transport } from "../transport.ts";
import { readAll, type ListOptions } from "./list.ts";

export interface EnrolmentsClient {
  list(options?: ListOptions): Promise<Enrolment[]>;
  approve(enrolmentId: string): Promise<Enrolment>;
  deny(enrolmentId: string, reason: string): Promise<Enrolment>;
  createToken(request: CreateTokenRequest, idempotencyKey?: string): Promise<CreateTokenResponse>;
  /** `GET /api/v1/ca`: the only answer that may be read before the server is trusted. */
  readCa(): Promise<string>;
}

export function createEnrolmentsClient(transport: Transport): EnrolmentsClient {
  return {
    list: (options) => readAll(transport, { path: ["enrolments"], item: enrolmentSchema }, options),
    approve: (id) => transport.read(enrolmentSchema, { method: "POST", path: ["enrolments", id, "approve"], json: {} }),
    deny: (id, reason) =>
      transport.read(enrolmentSchema, { method: "POST", path: ["enrolments", id, "deny"], json: { reason } }),
    createToken: (json, idempotencyKey) =>
      transport.read(createTokenResponseSchema, {
        method: "POST",
        path: ["enrolments", "tokens"],
        json,
        ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
      }),
    readCa: async () => (await transport.read(caResponseSchema, { method: "GET", path: ["ca"] })).ca,
  };
}
