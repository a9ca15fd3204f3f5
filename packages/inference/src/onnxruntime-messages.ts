import type { Placement } from "./port.ts";
import type { Tensor, TensorSpec } from "./tensor.ts";

/** What goes to and from the thread that owns a session. Tensor memory travels by transfer. */
export type WorkerRequest =
  | {
      readonly kind: "load";
      readonly model: Uint8Array<ArrayBuffer>;
      readonly providers: readonly string[];
      readonly threads: number;
    }
  | { readonly kind: "run"; readonly sequence: number; readonly inputs: readonly Tensor[] }
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
  | { readonly kind: "ran"; readonly sequence: number; readonly outputs: readonly Tensor[]; readonly runUs: number }
  | { readonly kind: "run-failed"; readonly sequence: number; readonly message: string };
