/** Every stable error code of the HTTP API with its status: a code without a status does not compile. */
export const httpStatusByCode = {
  bad_request: 400,
  validation_failed: 422,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  precondition_failed: 412,
  payload_too_large: 413,
  range_not_satisfiable: 416,
  unsupported_media_type: 415,
  rate_limited: 429,
  internal: 500,
  unavailable: 503,
  storage_full: 507,
  timeout: 504,
  selector_invalid: 422,
  selector_empty: 422,
  stages_incomplete: 422,
  gate_unfeedable: 422,
  duplicate_target: 422,
  rollout_in_progress: 409,
  transition_refused: 409,
  not_onnx: 422,
  model_truncated: 422,
  external_data_refused: 422,
  unknown_operator: 422,
  unsupported_opset: 422,
  model_too_complex: 422,
  digest_mismatch: 422,
  length_mismatch: 422,
  artifact_unknown: 422,
  version_exists: 409,
  release_missing: 422,
  token_invalid: 401,
  token_spent: 403,
  enrolment_denied: 403,
  enrolment_pending: 409,
  csr_invalid: 422,
  device_exists: 409,
} as const;

export type HttpErrorCode = keyof typeof httpStatusByCode;

export function isHttpErrorCode(code: string): code is HttpErrorCode {
  return Object.hasOwn(httpStatusByCode, code);
}
