import * as z from "zod";

/**
 * Names travel in topics, paths and URLs, so their alphabet has no separator, wildcard or dot segment.
 * Everything that names a thing is checked here and nowhere else.
 */
const name = (max: number) =>
  z
    .string()
    .regex(
      new RegExp(`^[a-z0-9](?:[a-z0-9-]{0,${max - 2}}[a-z0-9])?$`, "u"),
      `lower-case letters, digits and dashes, first and last no dash, at most ${max} characters`,
    );

export const tenantSchema = name(32);
export const deviceIdSchema = name(64);
export const slotNameSchema = name(32);
export const modelNameSchema = name(64);
export const profileNameSchema = name(64);

/** Semantic version without build metadata (semver.org 2.0.0 §2, §9). */
export const versionSchema = z
  .string()
  .max(64)
  .regex(
    /^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/u,
    "three numbers with dots between them, such as 1.2.0 or 1.2.0-rc.1",
  );

/** `sha256:` and 64 lower-case hexadecimal digits: the identity of every artifact. */
export const digestSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/u);

/** Identifier given by the plane: a short prefix, a dash and 26 characters of Crockford base 32 in lower case (ULID). */
export const idSchema = z
  .string()
  .regex(
    /^[a-z]{2,5}-[0-9a-hjkmnp-tv-z]{26}$/u,
    "an id that the plane gave: a prefix, a dash and 26 letters and digits",
  );

/** One start of a plane, random. */
export const planeStartSchema = z.string().regex(/^[0-9a-f]{16}$/u);

/** Kubernetes label syntax without the prefix part. */
const labelForm = "letters, digits, '-', '_' and '.', first and last a letter or digit, at most 63 characters";
export const labelKeySchema = z.string().regex(/^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/u, labelForm);
export const labelValueSchema = z.string().regex(/^(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$/u, labelForm);
export const labelsSchema = z
  .record(labelKeySchema, labelValueSchema)
  .refine((labels) => Object.keys(labels).length <= 64, "at most 64 labels");

/** Milliseconds since the Unix epoch, between 2001 and 2100: beyond that a clock is wrong, not late. */
export const timestampMsSchema = z.int().min(1_000_000_000_000).max(4_102_444_800_000);
export const durationMsSchema = z
  .int()
  .min(0)
  .max(366 * 86_400_000);
export const countSchema = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
export const ratioSchema = z.number().min(0).max(1);

export type Digest = z.infer<typeof digestSchema>;
export type Labels = z.infer<typeof labelsSchema>;

const idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/** ULID in lower case behind a prefix: 48 bits of time, 80 bits of chance (16 random bytes), ordered by time. */
export function toId(prefix: string, nowMs: number, chance: Uint8Array): string {
  let time = "";
  for (let rest = nowMs, digit = 0; digit < 10; digit += 1) {
    time = idAlphabet.charAt(rest % 32) + time;
    rest = Math.floor(rest / 32);
  }
  return `${prefix}-${time}${Array.from(chance, (byte) => idAlphabet.charAt(byte % 32)).join("")}`;
}
