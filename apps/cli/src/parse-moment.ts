import { toUsageError } from "./errors.ts";
import { parseDuration } from "./parse-duration.ts";

/** `2026-12-01`, `2026-12-01T06:00:00Z`, or how long from now: `7d`. Milliseconds since 1970, in UTC where no zone is named. */
export function parseMoment(text: string, nowMs: number): number {
  if (!/^\d{4}-/u.test(text)) return nowMs + parseDuration(text);
  const isWhole = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2}))?$/u.test(text);
  const momentMs = isWhole ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(momentMs)) return momentMs;
  throw toUsageError(`"${text}" is not a time`, "write 2026-12-01, 2026-12-01T06:00:00Z, or how long from now: 7d");
}
