import { toErrorMessage } from "@fairlead/kernel";
import { decideNextAttempt, noAttempts, toGivenUpReason } from "./attempts.ts";
import { BrokenError, PoisonedError, type ModelAsker } from "./model-asker.ts";

export interface MessageAnswerOptions {
  readonly asker: Pick<ModelAsker, "ask" | "readModel">;
  /** Rejects when the source is to end. */
  readonly wait: (ms: number) => Promise<void>;
  readonly random: () => number;
  /** Called when a message has to wait for the first time. */
  readonly onWait: (reason: string) => void;
}

const policy = { baseMs: 50, maxMs: 5_000 };

/**
 * What is published for a message: the model's answer, or `{"error": …}` when it can never be answered or ended its run
 * or the process too often. How often is not kept beyond the agent's end: a message that comes again begins anew.
 */
export async function answerMessage(options: MessageAnswerOptions, payload: Uint8Array): Promise<Uint8Array> {
  const { asker, wait, random } = options;
  const bytes = Buffer.from(payload);
  let attempts = noAttempts;
  for (;;) {
    try {
      return await asker.ask({ form: "either", bytes }, await asker.readModel());
    } catch (error) {
      const reason = toErrorMessage(error);
      if (error instanceof PoisonedError) return toErrorAnswer(reason);
      if (attempts.failures === 0) options.onWait(reason);
      const ending = error instanceof BrokenError ? "broken" : "later";
      const next = decideNextAttempt(attempts, ending, { policy, random: random() });
      if (next.kind === "give-up") return toErrorAnswer(toGivenUpReason(reason));
      ({ attempts } = next);
      await wait(next.waitMs);
    }
  }
}

function toErrorAnswer(error: string): Uint8Array {
  return Buffer.from(JSON.stringify({ error }));
}
