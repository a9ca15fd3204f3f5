import type { ClientErrorCode } from "@fairlead/client";
import type { InspectionErrorCode } from "@fairlead/inference/inspect";
import { CodedError, type CodedErrorOptions } from "@fairlead/kernel";

/** What can go wrong on this side of the wire. */
export type CliErrorCode =
  | "usage"
  | "file_unreadable"
  | "file_changed"
  | "config_exposed"
  | "config_invalid"
  | "context_unknown"
  | "no_server"
  | "fingerprint_mismatch"
  | "audit_broken"
  | "rollout_ended"
  | "key_unusable"
  | "passphrase_missing"
  | "trust_missing"
  | "trust_refused"
  | "trust_diverged"
  | "issuer_unreachable"
  | "login_expired"
  | "login_refused"
  | "confirmation_needed";

export interface CliErrorOptions extends CodedErrorOptions {
  /** What follows the message, one line each: a line break inside one of them begins no line. */
  readonly more?: readonly string[];
}

/** Of this side, or of the plane or a model file where it is told together with others. */
export class CliError extends CodedError<CliErrorCode | ClientErrorCode | InspectionErrorCode> {
  readonly lines: readonly string[];

  constructor(
    code: CliErrorCode | ClientErrorCode | InspectionErrorCode,
    message: string,
    { more = [], ...options }: CliErrorOptions = {},
  ) {
    super(code, [message, ...more].join("\n"), options);
    this.name = "CliError";
    this.lines = [message, ...more];
  }
}

/** A mistake on the command line. */
export function toUsageError(message: string, hint?: string): CliError {
  return new CliError("usage", message, hint === undefined ? {} : { hint });
}
