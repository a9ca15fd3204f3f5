import { CodedError } from "@fairlead/kernel";

export type RuntimeErrorCode =
  | "model_load_failed"
  | "provider_unknown"
  | "tensor_type_unsupported"
  | "accelerator_failed"
  | "accelerator_lost"
  | "input_invalid"
  | "inference_failed"
  | "inference_deadline"
  | "model_hung"
  | "model_closed"
  | "runtime_crashed"
  | "runtime_unknown"
  | "runtime_config_invalid";

const hints: Record<RuntimeErrorCode, string> = {
  model_load_failed: "Inspect the model and export it again; the message names what the runtime refused.",
  provider_unknown: "Ask for an execution provider that this machine's runtime offers, for instance cpu.",
  tensor_type_unsupported:
    "Give the model inputs and outputs of a type that travels: integers, FP16, FP32, FP64 or BOOL.",
  accelerator_failed:
    "Look at the accelerator's driver with `fairlead-agent doctor`, or let the cpu stand in: `require: false` for the slot.",
  accelerator_lost: "Ask again: the cpu stands in, and the accelerator is tried again in the background.",
  input_invalid: "Compare the request with the model's metadata: names, datatypes and shapes.",
  inference_failed: "The model failed on this input; the message is the runtime's own.",
  inference_deadline: "The run cannot be stopped: kill and restart the serving process, or allow a longer deadline.",
  model_hung: "An earlier run never ended: kill and restart the serving process.",
  model_closed: "Load the model again.",
  runtime_crashed: "The runtime's thread or server ended: it starts again by itself, or with the serving process.",
  runtime_unknown: "Name a runtime of this device's configuration.",
  runtime_config_invalid: "Correct the runtime in the device's configuration.",
};

export class RuntimeError extends CodedError<RuntimeErrorCode> {
  constructor(code: RuntimeErrorCode, message: string, cause?: unknown) {
    super(code, message, { hint: hints[code], ...(cause === undefined ? {} : { cause }) });
  }
}
