import { toErrorCode } from "@fairlead/kernel";
import type { LoadedModel } from "../port.ts";

/** Error codes of what was asked of a model whose run takes longer than its deadline; "ok" where it succeeded. */
export interface DeadlineOutcome {
  readonly late: string;
  /** Asked for while that one ran. */
  readonly behind: string;
  readonly afterwards: string;
  readonly close: string;
  readonly recovers: boolean;
}

/** @param model `x` FP32 [-1, 4], one run of which takes at least 0.3 seconds */
export async function giveUpAtDeadline(model: LoadedModel): Promise<DeadlineOutcome> {
  const infer = (deadlineMs: number) =>
    model.infer([{ name: "x", datatype: "FP32", shape: [1, 4], data: Float32Array.of(1, 2, 3, 4) }], { deadlineMs });
  const [late, behind] = await Promise.all([toCode(infer(50)), toCode(infer(50))]);
  const afterwards = await toCode(infer(10_000));
  return { late, behind, afterwards, close: await toCode(model.close()), recovers: model.recovers ?? false };
}

function toCode(asked: Promise<unknown>): Promise<string> {
  return asked.then(
    () => "ok",
    (error: unknown) => toErrorCode(error) ?? String(error),
  );
}
