import {
  publicationSchema,
  trustStateSchema,
  type Publication,
  type PublicationRequest,
  type TrustState,
} from "@fairlead/protocol";
import * as z from "zod";
import { ClientError } from "../errors.ts";
import type { Transport } from "../transport.ts";

export interface TrustClient {
  state(): Promise<TrustState>;
  publish(request: PublicationRequest): Promise<Publication>;
  addOnlineKey(): Promise<{ readonly publicKey: string }>;
  /** One document as it was signed; null when there is none of that name. */
  readDocument(path: readonly string[]): Promise<string | null>;
}

export function createTrustClient(transport: Transport): TrustClient {
  return {
    state: () => transport.read(trustStateSchema, { method: "GET", path: ["trust"] }),
    publish: (json) => transport.read(publicationSchema, { method: "POST", path: ["trust", "publications"], json }),
    addOnlineKey: () =>
      transport.read(z.object({ publicKey: z.string() }), { method: "POST", path: ["trust", "online-keys"] }),
    readDocument: async (path) => {
      try {
        return await (await transport.send({ method: "GET", path: ["trust", ...path] })).text();
      } catch (error) {
        if (error instanceof ClientError && error.code === "not_found") return null;
        throw error;
      }
    },
  };
}
