import { CodedError, toErrorMessage, withoutSecrets } from "@fairlead/kernel";
import { httpStatusByCode, type HttpErrorCode } from "@fairlead/protocol";
import type { RefusalAudit } from "../../audit/refusal-audit.ts";
import type { Asker } from "../../context.ts";
import type { RefusedConnection } from "../connection-limit.ts";
import { toHttpCode } from "../error-map.ts";

export interface Refused extends Asker {
  readonly method: string;
  readonly path: string;
  /** The pattern of the route that took it; null: none did. */
  readonly route: string | null;
}

/** Where in a file the refusal was. */
function toPlace({ place, byte }: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return typeof place === "string" && typeof byte === "number" ? { place: place.slice(0, 500), byte } : {};
}

const reading = new Set(["GET", "HEAD"]);

/** Devices ask for the next root until there is none: there "not found" is the answer, at every refresh of each. */
const askedUntilAbsent = "/api/v1/trust/metadata/:file";

/**
 * A question that was refused for what it names or for its form, or that no route takes: nothing for itself, and in numbers
 * somebody who looks for what is there. Pattern and code are its kind, whatever was asked for.
 */
function toKind({ method, route }: Refused, code: HttpErrorCode): string | undefined {
  if (route === null) return code === "not_found" || code === "method_not_allowed" ? `no route: ${code}` : undefined;
  const isOfCaller = [401, 403, 429].includes(httpStatusByCode[code]);
  return reading.has(method) && !isOfCaller ? `${method} ${route}: ${code}` : undefined;
}

/**
 * Leaves an audit entry for a request that was refused: who asked, for what, why not, from where. Failures of the plane's
 * own (5xx) are no refusals.
 */
export function createRefusalLog({ note }: Pick<RefusalAudit, "note">) {
  return async (error: unknown, refused: Refused): Promise<void> => {
    const code = toHttpCode(error);
    const status = httpStatusByCode[code];
    if (status >= 500 || (refused.route === askedUntilAbsent && code === "not_found")) return;
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
      kind: toKind(refused, code),
    });
  };
}

/** The same for a connection that was ended before anything was asked on it. */
export function createConnectionRefusalLog({ note }: Pick<RefusalAudit, "note">): (refused: RefusedConnection) => void {
  return ({ from, why }) => {
    const entry = { actor: "anonymous", from, action: "connection.refuse", subject: "HTTPS connection", reason: why };
    void note({ ...entry, kind: `connection: ${why}` });
  };
}
