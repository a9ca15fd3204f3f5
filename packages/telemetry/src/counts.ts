/** Sum of two counts; stays at the largest safe integer instead of losing exactness. */
export function addCounts(a: number, b: number): number {
  return Math.min(a + b, Number.MAX_SAFE_INTEGER);
}
