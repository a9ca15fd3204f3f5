import { CodedError, toErrorMessage, withoutSecrets } from "@fairlead/kernel";
import { httpStatusByCode } from "@fairlead/protocol";
import type { RefusalAudit } from "../../audit/refusal-audit.ts";
import type { Asker } from "../../context.ts";
import { toHttpCode } from "../error-map.ts";

export interface Refused extends Asker {
  readonly method: string;
  readonly path: string;
  /** false: no route took it. */
  readonly isRouted: boolean;
}

/** Where in a file the refusal was. */
function toPlace({ place, byte }: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return typeof place === "string" && typeof byte === "number" ? { place: place.slice(0, 500), byte } : {};
}

const reading = new Set(["GET", "HEAD"]);

/** What only reads is worth an entry when the caller may not read it; a mistake in its form says nothing. */
function isNotable({ method, isRouted }: Refused, status: number): boolean {
  return !isRouted || !reading.has(method) || status === 401 || status === 403 || status === 429;
}

/**
 * Leaves an audit entry for a request that was refused: who asked, for what, why not, from where. Failures of the plane's
 * own (5xx) are no refusals.
 */
export function createRefusalLog({ note }: Pick<RefusalAudit, "note">) {
  return async (error: unknown, refused: Refused): Promise<void> => {
    const code = toHttpCode(error);
    const status = httpStatusByCode[code];
    if (status >= 500 || !isNotable(refused, status)) return;
    const known = error instanceof CodedError ? error.details : {};
    const named = known["actor"];
    const isLockOut = code === "rate_limited";
    await note({
      actor: typeof named === "string" ? named : refused.actor,
      from: refused.from,
      action: isLockOut ? "address.lock-out" : "request.refuse",
      subject: withoutSecrets(`${refused.method} ${refused.path}`),
      reason: code,
      details: { message: withoutSecrets(toErrorMessage(error)).slice(0, 500), ...toPlace(known) },
      isLockOut,
    });
  };
}
