import type { PlacementReport, ServingAddress, ServingError } from "./ipc.ts";

/** What the serving process tells the supervisor unasked. */
export type ServingEvent =
  /** Sent once, when the endpoint accepts connections; requests over IPC are welcome from here on. */
  | { readonly kind: "ready"; readonly address: ServingAddress; readonly pid: number }
  /** Sent once, before the process ends by itself: why it cannot begin to serve. */
  | { readonly kind: "start-failed"; readonly error: ServingError }
  /** A run passed its deadline. Its thread cannot be stopped: kill the process with SIGKILL. */
  | {
      readonly kind: "hung";
      readonly loadId: string;
      readonly slot: string;
      readonly model: string;
      /** How long the run had been going on. */
      readonly sinceMs: number;
    }
  /** A load runs elsewhere than before: its accelerator was lost or is back, or its server was started again. */
  | {
      readonly kind: "placement";
      readonly loadId: string;
      readonly slot: string;
      readonly placement: PlacementReport;
    }
  /** The process holds more memory than it may, and is about to end; what ran is in the in-flight file. */
  | { readonly kind: "memory-exceeded"; readonly rssBytes: number; readonly limitBytes: number }
  /** A load that nobody asked was given up for another; its id means nothing any more. */
  | { readonly kind: "unloaded"; readonly loadId: string; readonly slot: string; readonly reason: string }
  /** A client of this machine wants the assigned build of a model out of memory, or back; answered by `repository-done`. */
  | {
      readonly kind: "repository";
      readonly askId: number;
      readonly ask: "load" | "unload";
      readonly model: string;
    }
  /** A server that runs models for this process started, ended, printed something, or did not take a model back. */
  | {
      readonly kind: "runtime";
      readonly runtime: string;
      readonly severity: "info" | "warn";
      readonly message: string;
    }
  | {
      readonly kind: "model-warning";
      readonly loadId: string;
      readonly slot: string;
      readonly code: string;
      readonly message: string;
    };
