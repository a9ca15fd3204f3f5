import type { ClientErrorCode } from "@fairlead/client";
import type { InspectionErrorCode } from "@fairlead/inference/inspect";
import { toErrorCode } from "@fairlead/kernel";
import type { CliErrorCode } from "./errors.ts";

/** The one table of exit codes. Scripts rely on it. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  permission: 4,
  conflict: 5,
  timedOut: 6,
  unreachable: 7,
  rolledBack: 8,
  interrupted: 130,
} as const;
export type ExitName = keyof typeof exitCodes;

/** Total: a new error code without an exit code does not compile. */
const exitByErrorCode: Record<ClientErrorCode | CliErrorCode | InspectionErrorCode, ExitName> = {
  bad_request: "failed",
  validation_failed: "failed",
  unauthenticated: "permission",
  forbidden: "permission",
  not_found: "notFound",
  method_not_allowed: "failed",
  conflict: "conflict",
  precondition_failed: "conflict",
  payload_too_large: "failed",
  range_not_satisfiable: "failed",
  unsupported_media_type: "failed",
  rate_limited: "failed",
  internal: "failed",
  unavailable: "unreachable",
  storage_full: "failed",
  timeout: "timedOut",
  selector_invalid: "usage",
  selector_empty: "failed",
  stages_incomplete: "failed",
  gate_unfeedable: "failed",
  duplicate_target: "failed",
  rollout_in_progress: "conflict",
  transition_refused: "conflict",
  not_onnx: "failed",
  model_truncated: "failed",
  external_data_refused: "failed",
  unknown_operator: "failed",
  unsupported_opset: "failed",
  model_too_complex: "failed",
  tensor_malformed: "failed",
  model_unreadable: "failed",
  digest_mismatch: "failed",
  length_mismatch: "failed",
  artifact_unknown: "notFound",
  version_exists: "conflict",
  release_missing: "failed",
  token_invalid: "permission",
  token_spent: "permission",
  enrolment_denied: "permission",
  enrolment_pending: "conflict",
  csr_invalid: "failed",
  device_exists: "conflict",
  key_retired: "conflict",
  metadata_refused: "failed",
  metadata_conflict: "conflict",
  trust_root_missing: "failed",
  release_not_vouched: "failed",
  release_expired: "failed",
  release_not_yet_valid: "failed",
  release_known_bad: "conflict",
  webhook_url_refused: "failed",
  webhook_limit: "conflict",
  server_unreachable: "unreachable",
  server_untrusted: "permission",
  request_timeout: "timedOut",
  request_canceled: "interrupted",
  response_invalid: "failed",
  key_unusable: "permission",
  passphrase_missing: "usage",
  trust_missing: "notFound",
  trust_refused: "failed",
  usage: "usage",
  file_unreadable: "failed",
  file_changed: "failed",
  config_exposed: "permission",
  config_invalid: "failed",
  context_unknown: "notFound",
  no_server: "usage",
  fingerprint_mismatch: "permission",
  audit_broken: "failed",
  issuer_unreachable: "unreachable",
  login_expired: "permission",
  login_refused: "permission",
  confirmation_needed: "usage",
};

/** Any thrown value to its exit code; what nobody knows is a failure. */
export function toExitCode(error: unknown): number {
  const code = toErrorCode(error);
  if (code !== undefined && Object.hasOwn(exitByErrorCode, code))
    return exitCodes[exitByErrorCode[code as keyof typeof exitByErrorCode]];
  return exitCodes.failed;
}
