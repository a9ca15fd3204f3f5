/** Bytes [start, end] of total, as one Content-Range of the unit `bytes` (RFC 9110 §14.4). */
export interface ContentRange {
  readonly start: number;
  readonly end: number;
  readonly total: number;
}

const form = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/u;

/** Undefined for every header that is not exactly one satisfiable byte range with a known total. */
export function parseContentRange(header: string | undefined): ContentRange | undefined {
  const match = form.exec(header ?? "");
  if (match === null) return undefined;
  const [start, end, total] = match.slice(1).map(Number);
  if (start === undefined || end === undefined || total === undefined) return undefined;
  return start <= end && end < total ? { start, end, total } : undefined;
}
