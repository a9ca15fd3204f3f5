import {
  caResponseSchema,
  createTokenResponseSchema,
  endorsementSchema,
  enrolmentSchema,
  enrolmentTokenSchema,
  type AllowEndorsementRequest,
  type CreateTokenRequest,
  type CreateTokenResponse,
  type Endorsement,
  type Enrolment,
  type EnrolmentTokenFacts,
} from "@fairlead/protocol";
import type { Transport } from "../transport.ts";
import { readAll, type ListOptions } from "./list.ts";

export interface EnrolmentsClient {
  list(options?: ListOptions): Promise<Enrolment[]>;
  approve(enrolmentId: string): Promise<Enrolment>;
  deny(enrolmentId: string, reason: string): Promise<Enrolment>;
  createToken(request: CreateTokenRequest, idempotencyKey?: string): Promise<CreateTokenResponse>;
  listTokens(options?: ListOptions): Promise<EnrolmentTokenFacts[]>;
  revokeToken(tokenId: string): Promise<void>;
  /** Endorsement keys of TPMs that may enrol without a token. */
  allowEndorsement(request: AllowEndorsementRequest): Promise<Endorsement>;
  listEndorsements(options?: ListOptions): Promise<Endorsement[]>;
  removeEndorsement(fingerprint: string): Promise<void>;
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
    listTokens: (options) =>
      readAll(transport, { path: ["enrolments", "tokens"], item: enrolmentTokenSchema }, options),
    revokeToken: async (tokenId) => {
      await transport.send({ method: "DELETE", path: ["enrolments", "tokens", tokenId] });
    },
    allowEndorsement: (json) =>
      transport.read(endorsementSchema, { method: "POST", path: ["enrolments", "endorsements"], json }),
    listEndorsements: (options) =>
      readAll(transport, { path: ["enrolments", "endorsements"], item: endorsementSchema }, options),
    removeEndorsement: async (fingerprint) => {
      await transport.send({ method: "DELETE", path: ["enrolments", "endorsements", fingerprint] });
    },
    readCa: async () => (await transport.read(caResponseSchema, { method: "GET", path: ["ca"] })).ca,
  };
}
