import { energyScopeSchema, profileNameSchema } from "@fairlead/protocol";
import * as z from "zod";

const text = z.string().min(1).max(128);
/** A path below the root of the file system, without dot segments. */
const relativePath = z
  .string()
  .max(256)
  .regex(/^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[^/\0][^\0]*$/u);
const pciId = z.string().regex(/^0x[0-9a-f]{4}$/u);
const regex = z.string().min(1).max(200).refine(isRegex, "must be a regular expression");

const detectTestSchema = z.union([
  z.strictObject({ arch: z.enum(["x64", "arm64"]) }),
  z.strictObject({ deviceTreeCompatible: text }),
  z.strictObject({ fileMatches: z.strictObject({ path: relativePath, regex }) }),
  z.strictObject({ pci: z.strictObject({ vendor: pciId, device: pciId.optional() }) }),
]);

const powerSensorSchema = z.discriminatedUnion("from", [
  z.strictObject({ from: z.literal("rapl") }),
  z.strictObject({ from: z.literal("hwmon"), chip: text, label: text.optional(), scope: energyScopeSchema }),
  z.strictObject({ from: z.literal("nvidia") }),
]);
const temperatureSensorSchema = z.discriminatedUnion("from", [
  z.strictObject({ from: z.literal("hwmon"), chip: text, label: text.optional() }),
  z.strictObject({ from: z.literal("thermalZone"), type: text }),
  z.strictObject({ from: z.literal("nvidia") }),
]);
const throttleSensorSchema = z.discriminatedUnion("from", [
  z.strictObject({ from: z.literal("cpuThrottleCount") }),
  z.strictObject({ from: z.literal("hwmonAlarm"), chip: text, file: z.string().regex(/^[a-z0-9_]{1,64}$/u) }),
]);

const watts = z.number().min(0).max(10_000);

/** What the agent knows about a family of boards: data only, one YAML file in `firmware-configs/<name>/`. */
export const profileSchema = z.strictObject({
  apiVersion: z.literal("fairlead/v1"),
  kind: z.literal("DeviceProfile"),
  metadata: z.strictObject({
    name: profileNameSchema,
    maturity: z.enum(["untested", "fixture-tested", "hardware-tested"]),
    description: z.string().max(300).optional(),
  }),
  /** Any of the groups, all of a group's tests. The profile whose matching group has most tests wins. */
  detect: z.array(z.strictObject({ all: z.array(detectTestSchema).min(1).max(16) })).max(16),
  /** Each list in order of preference; the first that gives a value is used. */
  sensors: z.strictObject({
    power: z.array(powerSensorSchema).max(16),
    temperature: z.array(temperatureSensorSchema).max(16),
    /** All of them are read; one that says "throttled" is enough. */
    throttle: z.array(throttleSensorSchema).max(16),
  }),
  /** For devices without a power sensor: power = idleW + (maxW - idleW) × utilisation, always labelled `modelled`. */
  powerModel: z
    .strictObject({ idleW: watts, maxW: watts, source: text })
    .refine(({ idleW, maxW }) => idleW <= maxW, "idleW must not be above maxW"),
  /** At `warnC` batch work stands still, at `criticalC` where only that is known. Null where nothing is known. */
  limits: z.strictObject({
    warnC: z.number().min(-50).max(200).nullable(),
    criticalC: z.number().min(-50).max(200).nullable(),
  }),
});

export type DeviceProfile = z.infer<typeof profileSchema>;
export type DetectTest = z.infer<typeof detectTestSchema>;
export type PowerSensor = z.infer<typeof powerSensorSchema>;
export type TemperatureSensor = z.infer<typeof temperatureSensorSchema>;
export type ThrottleSensor = z.infer<typeof throttleSensorSchema>;

/** JSON Schema of a profile, for editors. */
export function toProfileJsonSchema(): string {
  return `${JSON.stringify(z.toJSONSchema(profileSchema, { io: "input" }), null, 2)}\n`;
}

function isRegex(source: string): boolean {
  try {
    return new RegExp(source, "mu").source !== "";
  } catch {
    return false;
  }
}
