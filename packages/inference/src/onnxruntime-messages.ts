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
  /** `lost`: the accelerator is gone, not only this run. */
  | { readonly kind: "failed"; readonly message: string; readonly lost: boolean }
);

/** What goes to and from the thread that owns a session. Tensor memory travels by transfer. */
export type WorkerRequest =
  | {
      readonly kind: "load";
      readonly model: Uint8Array<ArrayBuffer>;
      readonly providers: readonly string[];
      readonly threads: number;
      readonly background: boolean;
      /** Whether the cpu stands in when the accelerator fails, given that it is among the providers. */
      readonly standIn: boolean;
      /** Folder for profiles; null for the system's own. */
      readonly profileFolder: string | null;
    }
  | { readonly kind: "offers" }
  /** Ends the process when a run on its first thread takes longer; see inline/inline-guard.ts. */
  | { readonly kind: "guard"; readonly runs: SharedArrayBuffer; readonly limitMs: number }
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
      readonly code: "model_load_failed" | "provider_unknown" | "tensor_type_unsupported" | "accelerator_failed";
      readonly message: string;
    }
  | { readonly kind: "offers"; readonly providers: readonly string[] }
  | { readonly kind: "ran"; readonly results: readonly RunResponse[] };
