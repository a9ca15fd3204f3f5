import { randomBytes } from "node:crypto";

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/** ULID in lower case behind a prefix: 48 bits of time, 80 bits of chance. */
export function createId(prefix: string, nowMs: number): string {
  let time = "";
  for (let rest = nowMs, digit = 0; digit < 10; digit += 1) {
    time = alphabet.charAt(rest % 32) + time;
    rest = Math.floor(rest / 32);
  }
  const chance = Array.from(randomBytes(16), (byte) => alphabet.charAt(byte % 32)).join("");
  return `${prefix}-${time}${chance}`;
}
