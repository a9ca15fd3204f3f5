import { CodedError } from "@fairlead/kernel";

export type ProtocolErrorCode = "request_malformed" | "request_too_large" | "not_supported" | "response_not_json";

const hints: Record<ProtocolErrorCode, string> = {
  request_malformed: "See the Open Inference Protocol, inference request; compare with the model's metadata.",
  request_too_large:
    "Send fewer rows per request, or tensors as binary data, and ask for binary outputs: parameters.binary_data_output = true.",
  not_supported: "The server's metadata lists the extensions that it has.",
  response_not_json: "Ask for binary outputs: parameters.binary_data_output = true.",
};

/** A request that is wrong before any model sees it, or an answer that the asked form cannot carry. */
export class ProtocolError extends CodedError<ProtocolErrorCode> {
  constructor(code: ProtocolErrorCode, message: string, cause?: unknown) {
    super(code, message, { hint: hints[code], ...(cause === undefined ? {} : { cause }) });
  }
}
