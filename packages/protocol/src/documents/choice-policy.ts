import * as z from "zod";

export const choiceObjectiveSchema = z.enum(["latency", "energy", "accuracy"]);

/** How a device chooses among the builds that it can run. It has no defaults, so that what is signed is complete. */
export const choicePolicySchema = z.strictObject({
  /** `latency`: median time; `energy`: joules per inference; `accuracy`: share of golden cases within tolerance. */
  objective: choiceObjectiveSchema,
  /** Least share of golden cases within tolerance; null asks for all of them where there is a golden set. */
  accuracyFloor: z.number().min(0).max(1).nullable(),
});

export type ChoiceObjective = z.infer<typeof choiceObjectiveSchema>;
export type ChoicePolicy = z.infer<typeof choicePolicySchema>;
