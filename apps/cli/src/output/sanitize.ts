/**
 * Control characters (C0, DEL, C1) and direction overrides: what a device or a server sends must not steer the terminal
 * (clear it, forge lines, answer queries) nor make text read differently from what it is.
 */
const unsafe = /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

const toEscape = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** One line of text that is safe to print. */
export function sanitize(text: string): string {
  return text.replace(unsafe, toEscape);
}

export function hasUnsafe(text: string): boolean {
  return text.search(unsafe) !== -1;
}

/** For text whose structure is ours: every unsafe character but the line feed is escaped. */
export function sanitizeLines(text: string): string {
  return text.replace(unsafe, (character) => (character === "\n" ? character : toEscape(character)));
}

/** The colours that `Output.paint` makes: one number, of a style or of its end. */
// oxlint-disable-next-line no-control-regex -- the escape character is what this is about
const paint = /(\u001b\[\d{1,2}m)/u;

/** One line in which our own colours stay and everything else is escaped. */
export function sanitizePainted(line: string): string {
  return line
    .split(paint)
    .map((part, index) => (index % 2 === 1 ? part : sanitize(part)))
    .join("");
}
