import type { Placement } from "./port.ts";
import type { Tensor, TensorSpec } from "./tensor.ts";

export interface RunRequest {
  readonly sequence: number;
  readonly inputs: readonly Tensor[];
}

export type RunResponse = {
  readonly sequence: number;
  /** Memory of large inputs, on its way back to whoever wants to fill it again. */
  readonly released: readonly ArrayBuffer[];
} & (
  | { readonly kind: "done"; readonly outputs: readonly Tensor[]; readonly runUs: number }
  | { readonly kind: "failed"; readonly message: string }
);

/** What goes to and from the thread that owns a session. Tensor memory travels by transfer. */
export type WorkerRequest =
  | {
      readonly kind: "load";
      readonly model: Uint8Array<ArrayBuffer>;
      readonly providers: readonly string[];
      readonly threads: number;
      readonly background: boolean;
    }
  | { readonly kind: "run"; readonly runs: readonly RunRequest[] }
  | { readonly kind: "close" };

export type WorkerResponse =
  | {
      readonly kind: "loaded";
      readonly inputs: readonly TensorSpec[];
      readonly outputs: readonly TensorSpec[];
      readonly placement: Placement;
    }
  | {
      readonly kind: "load-failed";
      readonly code: "model_load_failed" | "provider_unknown" | "tensor_type_unsupported";
      readonly message: string;
    }
  | { readonly kind: "ran"; readonly results: readonly RunResponse[] };
