import * as z from "zod";
import { digestSchema, planeStartSchema, slotNameSchema } from "../ids.ts";

const build = { slot: slotNameSchema, buildDigest: digestSchema.nullable() };

/** What a discrete event says. The CloudEvents `type` is `io.fairlead.device.<kind>.v1`. */
export const eventDataSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("job-step"),
    slot: slotNameSchema,
    state: z.string().max(32),
    code: z.string().max(64).nullable(),
    reason: z.string().max(500).nullable(),
  }),
  z.strictObject({
    kind: z.literal("integrity-failed"),
    ...build,
    name: z.string().max(256),
    expected: digestSchema.nullable(),
    actual: digestSchema.nullable(),
  }),
  z.strictObject({ kind: z.literal("integrity-restored"), ...build, name: z.string().max(256) }),
  z.strictObject({ kind: z.literal("serving-crashed"), ...build, exit: z.string().max(64), restarts: z.int().min(0) }),
  z.strictObject({ kind: z.literal("serving-hung"), ...build, sinceMs: z.number().min(0) }),
  /** The serving process does not come up, such as for a port that is taken, or does again. It is told once per reason. */
  z.strictObject({
    kind: z.literal("serving-start"),
    state: z.enum(["failed", "recovered"]),
    code: z.string().max(64).nullable(),
    reason: z.string().max(500).nullable(),
  }),
  /** Not one node of the build ran on the provider that was wanted first. */
  z.strictObject({
    kind: z.literal("placement-missed"),
    ...build,
    wanted: z.string().max(32),
    share: z.number().min(0).max(1).nullable(),
    reason: z.string().max(256),
  }),
  /** The build runs again where it was wanted and had been missed. */
  z.strictObject({
    kind: z.literal("placement-regained"),
    ...build,
    wanted: z.string().max(32),
    share: z.number().min(0).max(1),
    reason: z.string().max(256),
  }),
  z.strictObject({ kind: z.literal("reverted"), ...build, reason: z.string().max(256) }),
  z.strictObject({
    kind: z.literal("refused"),
    what: z.enum(["desired-state", "command", "release"]),
    code: z.string().max(64),
    reason: z.string().max(500),
  }),
  z.strictObject({ kind: z.literal("outbox-merged"), droppedWindows: z.int().min(1), reason: z.string().max(256) }),
  z.strictObject({ kind: z.literal("throttled"), throttled: z.boolean(), reason: z.string().max(256) }),
  z.strictObject({ kind: z.literal("disk-full"), path: z.string().max(64), freeBytes: z.int().min(0) }),
  z.strictObject({ kind: z.literal("clock-skew"), skewMs: z.number() }),
  /** A mirror failed, lied, dripped or pointed elsewhere; it is not asked for a while. */
  z.strictObject({
    kind: z.literal("mirror-set-aside"),
    mirror: z.string().max(256),
    code: z.string().max(64),
    reason: z.string().max(256),
    forMs: z.int().min(0),
  }),
  /** Nobody says any more that nothing is newer than what the device knows, or somebody says it again. */
  z.strictObject({
    kind: z.literal("freshness"),
    state: z.enum(["fresh", "stale", "overdue"]),
    /** When the last statement ended. */
    untilMs: z.number(),
    reason: z.string().max(256),
  }),
  /** The plane does not remember a start of its own that this device has met. */
  z.strictObject({ kind: z.literal("plane-forked"), known: planeStartSchema, seen: planeStartSchema }),
]);

/** CloudEvents 1.0, structured JSON mode (the only mode that MQTT 3.1.1 admits). */
export const cloudEventSchema = z.strictObject({
  specversion: z.literal("1.0"),
  id: z.string().min(1).max(128),
  source: z.string().min(1).max(256),
  type: z.string().regex(/^io\.fairlead\.device\.[a-z-]+\.v1$/u),
  time: z.iso.datetime(),
  datacontenttype: z.literal("application/json"),
  data: eventDataSchema,
});

export type EventData = z.infer<typeof eventDataSchema>;
export type CloudEvent = z.infer<typeof cloudEventSchema>;
