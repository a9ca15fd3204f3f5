import { checkInputs, checkRows, type Tensor } from "@fairlead/inference";
import { hasErrorCode } from "@fairlead/kernel";
import { ShadowCounts } from "@fairlead/telemetry";
import { compareOutputs, type Tolerance } from "./compare-outputs.ts";
import { toErrorKind, type Load } from "./load.ts";
import { recordOutputs } from "./output-statistics.ts";

export interface ShadowTerms {
  /** Of the requests, 0..1. */
  readonly share: number;
  readonly tolerance: Tolerance;
}

/** What the active build made of the same inputs. */
export interface ActiveAnswer {
  readonly outputs: readonly Tensor[];
  readonly classificationOutput: string | null;
  readonly runUs: number;
}

/** Copies of one request's inputs. One of the two is called, once. */
export interface Picked {
  run(active: ActiveAnswer): Promise<void>;
  abandon(): void;
}

/** Copies that may wait at a time, and bytes of one of them: what a comparison may cost the device in memory. */
const maxPicked = 4;
const maxCopyBytes = 16_777_216;
/** Idle gaps that do not come within this time are not waited for. */
const waitMs = 10_000;

/** Refusals of the scheduler and ends of the load: nothing is proved against the build. */
const passed = ["overloaded", "quota_exceeded", "deadline_expired", "model_closed", "model_stopped"];

/** A build that runs beside the active one of its slot on a share of its input. Nobody waits for it, and nobody sees its answers. */
export class Shadow {
  readonly load: Load;
  readonly #terms: ShadowTerms;
  readonly #random: () => number;
  #picked = 0;

  constructor(load: Load, terms: ShadowTerms, random: () => number) {
    this.load = load;
    this.#terms = terms;
    this.#random = random;
    load.comparison = new ShadowCounts();
  }

  get #counts(): ShadowCounts | null {
    return this.load.comparison;
  }

  /** A copy of the inputs when chance picks this request and there is room; before a run consumes them. */
  pick(inputs: readonly Tensor[]): Picked | null {
    if (this.#random() >= this.#terms.share) return null;
    const bytes = inputs.reduce((sum, { data }) => sum + data.byteLength, 0);
    if (this.#picked >= maxPicked || bytes > maxCopyBytes) {
      this.#counts?.recordSkipped();
      return null;
    }
    this.#picked += 1;
    const copies = inputs.map(toCopy);
    return {
      run: async (active) => {
        try {
          await this.#run(copies, active);
        } finally {
          this.#picked -= 1;
        }
      },
      abandon: () => {
        this.#picked -= 1;
      },
    };
  }

  async #run(inputs: readonly Tensor[], active: ActiveAnswer): Promise<void> {
    const { load } = this;
    const { accumulator, classificationOutput, target } = load;
    try {
      checkInputs(target.name, target.inputs, inputs);
      checkRows(target.name, load.instances.sharedRows, inputs);
      const result = await load.infer(inputs, {
        memory: null,
        priority: "batch",
        timeoutMs: waitMs,
        client: null,
        alone: false,
      });
      recordOutputs(accumulator, classificationOutput, result.outputs);
      accumulator.recordBusy(result.shareUs);
      accumulator.recordSuccess(result.runUs);
      const { agreed, difference } = compareOutputs(
        active,
        { outputs: result.outputs, classificationOutput },
        this.#terms.tolerance,
      );
      this.#counts?.recordCompared({ agreed, difference, activeRunUs: active.runUs });
    } catch (error) {
      if (passed.some((code) => hasErrorCode(error, code))) return this.#counts?.recordSkipped();
      const kind = toErrorKind(error);
      // The active build took this input: one that does not is at fault itself, not the client.
      accumulator.recordError(kind === "input" ? "runtime" : kind);
    }
  }
}

function toCopy(tensor: Tensor): Tensor {
  return { ...tensor, data: tensor.data.slice() };
}
