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
  | "key_unusable"
  | "passphrase_missing"
  | "trust_missing"
  | "trust_refused"
  | "trust_diverged"
  | "issuer_unreachable"
  | "login_expired"
  | "login_refused"
  | "confirmation_needed";

export class CliError extends CodedError<CliErrorCode> {
  constructor(code: CliErrorCode, message: string, options: CodedErrorOptions = {}) {
    super(code, message, options);
    this.name = "CliError";
  }
}

/** A mistake on the command line. */
export function toUsageError(message: string, hint?: string): CliError {
  return new CliError("usage", message, hint === undefined ? {} : { hint });
}
