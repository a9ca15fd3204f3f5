import { executionProviderSchema, slotNameSchema } from "@fairlead/protocol";
import * as z from "zod";

const share = z.number().min(0).max(1);

/** How a slot uses and shares the device, by the slot's name; see `LoadScheduling` for what most of it means. */
export const schedulingSchema = z
  .record(
    slotNameSchema,
    z
      .strictObject({
        /** In place of `inference.providers`, the preferred one first. */
        providers: z.array(executionProviderSchema).min(1).max(8).nullable().default(null),
        /** The cpu may not stand in, not for one node: a load whose accelerator fails is refused. */
        require: z.boolean().default(false),
        maxBatchSize: z.int().min(1).max(1_024).default(1),
        maxQueueDelayMs: z.number().min(0).max(1_000).default(0),
        instances: z.int().min(1).max(16).default(1),
        queueLimit: z.int().min(1).max(100_000).default(64),
        quotaShare: share.nullable().default(null),
        clientShares: z.record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/u), share).default({}),
        priority: z.enum(["realtime", "normal", "batch"]).default("normal"),
      })
      .refine(
        ({ providers, require }) => !require || (providers ?? ["auto"]).some((provider) => provider !== "cpu"),
        "an accelerator is required, and none is named",
      ),
  )
  .refine((slots) => Object.keys(slots).length <= 64, "more than 64 slots")
  .refine(
    (slots) => Object.values(slots).reduce((sum, { quotaShare }) => sum + (quotaShare ?? 0), 0) <= 1,
    "the quota shares add up to more than 1",
  )
  .default({});
