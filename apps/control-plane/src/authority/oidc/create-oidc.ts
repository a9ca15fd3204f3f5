import type { Clock, Logger } from "@fairlead/kernel";
import type { LoadedOidcConfig } from "./config.ts";
import { createFetchDocument } from "./fetch-document.ts";
import { createKeySource } from "./key-source.ts";
import { createVerifyToken, type VerifyToken } from "./verify-token.ts";

export interface OidcOptions {
  readonly config: LoadedOidcConfig;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Nothing is fetched before the first token comes: a plane starts without its issuer. */
export function createOidc({ config, clock, logger }: OidcOptions): VerifyToken {
  const { issuer, ca } = config;
  const findKey = createKeySource({ issuer, clock, logger, fetchDocument: createFetchDocument({ ca, clock }) });
  return createVerifyToken({ config, findKey, clock });
}
