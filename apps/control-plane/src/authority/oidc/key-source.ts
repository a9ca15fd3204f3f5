import { CodedError, toErrorMessage, type Clock, type Logger } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";
import { createLocalJWKSet, errors, type JWK, type JWTVerifyGetKey } from "jose";
import * as z from "zod";
import { isTrustedTransport } from "./config.ts";
import type { FetchDocument } from "./fetch-document.ts";

/** OpenID Connect Discovery 1.0 §3, as far as the plane needs it. */
const discoverySchema = z.object({
  issuer: z.string().max(512),
  jwks_uri: z.string().max(2_048).refine(isTrustedTransport, "the keys are not reached by https"),
});

const text = z.string().max(8_192);
/** RFC 7517: only public halves of asymmetric keys, and of them only what a verification needs. */
const keySchema = z.object({
  kty: z.enum(["RSA", "EC", "OKP"]),
  kid: text.max(256).optional(),
  alg: text.max(32).optional(),
  use: text.max(32).optional(),
  crv: text.max(32).optional(),
  n: text.optional(),
  e: text.max(64).optional(),
  x: text.optional(),
  y: text.optional(),
});
const keySetSchema = z.object({ keys: z.array(z.unknown()).max(64) });

export interface KeySourceOptions {
  readonly issuer: string;
  readonly fetchDocument: FetchDocument;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly logger: Logger;
}

/** After this the keys are asked for again, so that one which the issuer withdrew ends. */
const freshMs = 600_000;
/** How long they serve while the issuer does not answer. */
const usableMs = 3_600_000;
/** Between two attempts, whatever is asked: tokens with made-up key names do not become requests to the issuer. */
const coolDownMs = 5_000;

interface KeySet {
  readonly resolve: JWTVerifyGetKey;
  readonly fetchedAtMs: number;
}

function toKeySet(body: string, fetchedAtMs: number): KeySet {
  const { keys } = keySetSchema.parse(JSON.parse(body));
  // A key of a kind that is not for us does not spoil the others.
  const usable = keys.flatMap((key) => {
    const parsed = keySchema.safeParse(key);
    return parsed.success ? [parsed.data as JWK] : [];
  });
  return { resolve: createLocalJWKSet({ keys: usable }), fetchedAtMs };
}

/**
 * The issuer's present keys, by its own document. A token chooses only among these by its `kid`; what else its header says
 * about keys (`jku`, `x5u`, `jwk`) is not looked at.
 * @throws from the returned function: CodedError `unavailable` when no keys can be had; jose's errors when none fits
 */
export function createKeySource({ issuer, fetchDocument, clock, logger }: KeySourceOptions): JWTVerifyGetKey {
  let known: KeySet | undefined;
  let attemptAtMs = -Infinity;
  let running: Promise<void> | undefined;

  const load = async (): Promise<void> => {
    try {
      const base = issuer.replace(/\/+$/u, "");
      const document = discoverySchema.parse(
        JSON.parse(await fetchDocument(`${base}/.well-known/openid-configuration`)),
      );
      if (document.issuer !== issuer) throw new CodedError("unavailable", "the document is of another issuer");
      known = toKeySet(await fetchDocument(document.jwks_uri), clock.monotonicMs());
    } catch (error) {
      logger.warn("the issuer's keys could not be read", { issuer, error: toErrorMessage(error) });
    }
  };
  const refresh = async (): Promise<void> => {
    if (running === undefined && clock.monotonicMs() - attemptAtMs < coolDownMs) return;
    if (running === undefined) {
      attemptAtMs = clock.monotonicMs();
      running = load().finally(() => (running = undefined));
    }
    await running;
  };
  const requireKeys = (): KeySet => {
    if (known !== undefined && clock.monotonicMs() - known.fetchedAtMs < usableMs) return known;
    throw new CodedError<HttpErrorCode>(
      "unavailable",
      "the issuer of the token does not answer, so it cannot be checked",
      {
        hint: "try again, or use a token of the plane",
      },
    );
  };

  return async (header, token) => {
    const isFresh = known !== undefined && clock.monotonicMs() - known.fetchedAtMs < freshMs;
    if (!isFresh) await refresh();
    try {
      return await requireKeys().resolve(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await refresh();
      return await requireKeys().resolve(header, token);
    }
  };
}
