import {
  caResponseSchema,
  createTokenResponseSchema,
  endorsementSchema,
  enrolmentSchema,
  enrolmentTokenSchema,
  revocationsSchema,
  type AllowEndorsementRequest,
  type CreateTokenRequest,
  type CreateTokenResponse,
  type Endorsement,
  type Enrolment,
  type EnrolmentTokenFacts,
  type Revocations,
} from "@fairlead/protocol";
import type { Tagged, Transport } from "../transport.ts";
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
  /** What a broker of one's own has to refuse; null: the same as under that entity tag. */
  readRevocations(known?: string): Promise<Tagged<Revocations> | null>;
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
    readRevocations: (known) =>
      transport.readChanged(revocationsSchema, { method: "GET", path: ["revocations"] }, known),
    readCa: async () => (await transport.read(caResponseSchema, { method: "GET", path: ["ca"] })).ca,
  };
}
