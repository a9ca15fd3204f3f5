import { CodedError, toErrorCode, toErrorMessage } from "@fairlead/kernel";
import type { ServingError } from "./ipc.ts";

export type ServeErrorCode =
  | "request_invalid"
  | "config_invalid"
  | "port_taken"
  | "socket_taken"
  | "address_refused"
  | "file_unreadable"
  | "read_failed"
  | "length_mismatch"
  | "digest_mismatch"
  | "contract_mismatch"
  | "golden_invalid"
  | "load_unknown"
  | "load_exists"
  | "load_active"
  | "slot_mismatch"
  | "output_unknown"
  | "too_many_loads"
  | "memory_insufficient"
  | "model_unknown"
  | "model_loading"
  | "model_stopped"
  | "overloaded"
  | "quota_exceeded"
  | "deadline_expired"
  | "body_too_large"
  | "body_encoding"
  | "policy_refused"
  | "repository_refused"
  | "route_unknown"
  | "method_refused"
  | "client_gone";

const hints: Record<ServeErrorCode, string> = {
  request_invalid: "Compare the message with ipc.ts.",
  config_invalid: "Give a loopback address or a Unix socket, and a writable path for the in-flight file.",
  port_taken:
    "End the program that holds the port, or set inference.port in config.yaml to a free one (0 takes any): each agent on a device needs its own.",
  socket_taken: "End the program that serves there, or set inference.socket in config.yaml to another path.",
  address_refused:
    "Set inference.host and inference.port, or inference.socket, in config.yaml to what this user may use on this device.",
  read_failed: "It is tried again; when it stays, look at the disk and at the limits of open files and memory.",
  file_unreadable: "Check that the file exists, is a regular file and is readable for this process.",
  length_mismatch: "The file is not the one that was verified: fetch and verify it again.",
  digest_mismatch: "The file is not the one that was verified: fetch and verify it again.",
  contract_mismatch: "Release the file with the tensors that it has: register it anew, and sign that version.",
  golden_invalid: "Write the golden set again in the form that goldenSetSchema states.",
  load_unknown: "Load the build first.",
  load_exists: "Choose another load id, or unload the first.",
  load_active: "Activate another load in the slot, or stop the slot, then unload.",
  slot_mismatch: "Activate the load in the slot for which it was loaded.",
  output_unknown: "Name an output of the model as classification output.",
  too_many_loads: "Unload builds that nobody uses.",
  memory_insufficient: "Unload builds that nobody uses, raise the memory budget, or choose a smaller build.",
  model_unknown: "POST /v2/repository/index lists the models.",
  model_loading: "Ask again in a moment: GET /v2/models/MODEL/ready says when it is there.",
  model_stopped: "Wait until the device activates a model in this slot again.",
  overloaded: "Send fewer requests at once, or retry later.",
  quota_exceeded: "Send fewer requests at once, or ask for a larger share of the device in its configuration.",
  deadline_expired: "Allow a longer timeout, or send fewer requests at once.",
  body_too_large: "Send fewer rows per request.",
  body_encoding: "Send the body plain, or with Content-Encoding gzip or deflate.",
  repository_refused: "POST /v2/repository/index lists what this device is assigned.",
  policy_refused: "Models are installed by signed desired state, not through this endpoint.",
  route_unknown: "GET /v2 lists what this server can do.",
  method_refused: "See the Open Inference Protocol for the method of this path.",
  client_gone: "Nothing to do: the client closed its connection.",
};

/** What the serving process refuses by itself; models and requests have codes of their own in @fairlead/inference. */
export class ServeError extends CodedError<ServeErrorCode> {
  constructor(code: ServeErrorCode, message: string, cause?: unknown) {
    super(code, message, { hint: hints[code], ...(cause === undefined ? {} : { cause }) });
  }
}

/** An error in the form in which it crosses to the supervisor. */
export function toServingError(error: unknown): ServingError {
  const hint = error instanceof CodedError ? error.hint : undefined;
  return {
    code: toErrorCode(error) ?? "internal",
    message: toErrorMessage(error).slice(0, 2_000),
    ...(hint === undefined ? {} : { hint }),
  };
}
