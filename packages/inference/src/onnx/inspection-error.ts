import { CodedError } from "@fairlead/kernel";
import { toPath, type Place } from "./place.ts";

export type InspectionErrorCode =
  | "not_onnx"
  | "model_truncated"
  | "external_data_refused"
  | "unknown_operator"
  | "unsupported_opset"
  | "model_too_complex"
  | "tensor_malformed"
  | "model_unreadable";

const hints: Record<InspectionErrorCode, string> = {
  not_onnx: "Export the model in the ONNX format and check it with a viewer before uploading it again.",
  model_truncated: "The file ends too early: upload or copy it again and compare its length and digest.",
  external_data_refused:
    "Save the model with all weights inside the file (convert_model_from_external_data, then save).",
  unknown_operator:
    "Export with standard ONNX operators, or with the quantization operators of com.microsoft, that are allowed here.",
  unsupported_opset: "Export for an older or newer operator set that ONNX Runtime 1.30 supports (ai.onnx 1 to 26).",
  model_too_complex:
    "Simplify the graph: fewer nodes, fewer nested branches, tensors of a size that a device can hold.",
  tensor_malformed: "A stored tensor does not match its own shape: export the model again.",
  model_unreadable: "Check that the path names a regular file that this process may read.",
};

export interface InspectionErrorOptions {
  readonly cause?: unknown;
  /** The part of the model that breaks the rule. */
  readonly place?: Place | null;
}

/** A model that is refused: the code says which rule it broke, the message where, the hint what to do. */
export class InspectionError extends CodedError<InspectionErrorCode> {
  constructor(code: InspectionErrorCode, message: string, { cause, place }: InspectionErrorOptions = {}) {
    const where = place === undefined || place === null ? null : { place: toPath(place), byte: place.at };
    super(code, where === null ? message : `${message}; at byte ${where.byte}, ${where.place}`, {
      hint: hints[code],
      ...(where === null ? {} : { details: where }),
      ...(cause === undefined ? {} : { cause }),
    });
  }

  /** The same, said of a part of the model; unchanged when it names one already. */
  in(place: Place | null): InspectionError {
    if (place === null || "place" in this.details) return this;
    return new InspectionError(this.code, this.message, { cause: this.cause, place });
  }
}
