/** An id of the same form that is not this one, whatever its last character. */
export function toAnotherId(id: string): string {
  return `${id.slice(0, -1)}${id.endsWith("0") ? "1" : "0"}`;
}
