/** Every reason why a document is refused. */
export type VerifyErrorCode =
  | "envelope_malformed"
  | "signature_unknown_key"
  | "signature_invalid"
  | "wrong_type"
  | "foreign_tenant"
  | "foreign_device"
  | "foreign_enrolment"
  | "foreign_audience"
  | "expired"
  | "not_yet_valid"
  | "stale_generation"
  | "already_applied"
  | "release_invalid";

/** Ends a recipe at its first failed check; never leaves this package. */
export class Refusal extends Error {
  readonly code: VerifyErrorCode;

  constructor(code: VerifyErrorCode, reason: string) {
    super(reason.slice(0, 300));
    this.name = "Refusal";
    this.code = code;
  }
}

export function refuse(code: VerifyErrorCode, reason: string): never {
  throw new Refusal(code, reason);
}
