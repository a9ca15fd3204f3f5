import { CodedError, toErrorCode, toErrorMessage, type Clock, type Logger } from "@fairlead/kernel";
import { httpStatusByCode, isHttpErrorCode } from "@fairlead/protocol";
import type { Store } from "@fairlead/store";
import { withoutTokens } from "../../authority/tokens.ts";
import type { AuditLog } from "../../context.ts";
import { createRateLimit } from "./rate-limit.ts";

export interface Refused {
  readonly actor: string;
  readonly method: string;
  readonly path: string;
  /** Address of the socket. */
  readonly from: string;
}

/** Mistakes of form say nothing about anybody's intent; these do. */
const quiet = new Set(["validation_failed", "bad_request", "timeout", "rate_limited", "unavailable", "internal"]);

/** Where in a file the refusal was. */
function toPlace({ place, byte }: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return typeof place === "string" && typeof byte === "number" ? { place: place.slice(0, 500), byte } : {};
}

/**
 * Leaves an audit entry for what was refused: who asked, for what, why not, from where. Bounded per address, so that nobody
 * fills the log; what is beyond that is counted by the rate limit's own answers.
 */
export function createRefusalLog(options: {
  readonly audit: AuditLog;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
}) {
  const limit = createRateLimit(options.clock, { burst: 60, perMinute: 30 });
  return async (error: unknown, refused: Refused): Promise<void> => {
    const code = toErrorCode(error);
    if (code === undefined || !isHttpErrorCode(code) || quiet.has(code) || httpStatusByCode[code] >= 500) return;
    try {
      limit.take(refused.from);
    } catch {
      return;
    }
    const known = error instanceof CodedError ? error.details : {};
    const named = known["actor"];
    const { method, path, from } = refused;
    await options.store
      .transaction((tx) =>
        options.audit.append(tx, {
          actor: typeof named === "string" ? named : refused.actor,
          action: "request.refuse",
          subject: withoutTokens(`${method} ${path}`).slice(0, 200),
          reason: code,
          details: { message: withoutTokens(toErrorMessage(error)).slice(0, 500), from, ...toPlace(known) },
        }),
      )
      .catch((failure: unknown) =>
        options.logger.error("a refusal was not written to the audit log", { error: toErrorMessage(failure) }),
      );
  };
}
