import {
  apiTokenSchema,
  createApiTokenResponseSchema,
  type ApiToken,
  type CreateApiTokenRequest,
  type CreateApiTokenResponse,
} from "@fairlead/protocol";
import type { Transport } from "../transport.ts";
import { readAll, type ListOptions } from "./list.ts";

export interface TokensClient {
  create(request: CreateApiTokenRequest): Promise<CreateApiTokenResponse>;
  list(options?: ListOptions): Promise<ApiToken[]>;
  revoke(tokenId: string): Promise<void>;
}

export function createTokensClient(transport: Transport): TokensClient {
  return {
    create: (json) => transport.read(createApiTokenResponseSchema, { method: "POST", path: ["tokens"], json }),
    list: (options) => readAll(transport, { path: ["tokens"], item: apiTokenSchema }, options),
    revoke: async (tokenId) => {
      await transport.send({ method: "DELETE", path: ["tokens", tokenId] });
    },
  };
}
