import { CodedError } from "@fairlead/kernel";

/**
 * `url_refused`, `address_refused` and `redirect_refused` are verdicts and do not pass by themselves; `name_unresolved` and
 * `unreachable` may. `response_too_large`, `response_too_slow`, `timed_out` and `response_refused` are the other side's doing.
 */
export type EgressErrorCode =
  | "url_refused"
  | "address_refused"
  | "name_unresolved"
  | "unreachable"
  | "redirect_refused"
  | "response_refused"
  | "response_too_large"
  | "response_too_slow"
  | "timed_out"
  | "aborted";

export class EgressError extends CodedError<EgressErrorCode> {}
