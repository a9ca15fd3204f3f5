import { CodedError, toErrorCode, toErrorMessage, withoutSecrets } from "@fairlead/kernel";
import { httpStatusByCode, isHttpErrorCode } from "@fairlead/protocol";
import type { NoteRefusal } from "../../audit/refusal-audit.ts";

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

/** Leaves an audit entry for a request that was refused: who asked, for what, why not, from where. */
export function createRefusalLog(note: NoteRefusal) {
  return async (error: unknown, refused: Refused): Promise<void> => {
    const code = toErrorCode(error);
    if (code === undefined || !isHttpErrorCode(code) || quiet.has(code) || httpStatusByCode[code] >= 500) return;
    const known = error instanceof CodedError ? error.details : {};
    const named = known["actor"];
    await note(refused.from, {
      actor: typeof named === "string" ? named : refused.actor,
      action: "request.refuse",
      subject: withoutSecrets(`${refused.method} ${refused.path}`),
      reason: code,
      details: { message: withoutSecrets(toErrorMessage(error)).slice(0, 500), ...toPlace(known) },
    });
  };
}
