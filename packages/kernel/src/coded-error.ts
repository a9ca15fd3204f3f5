export interface CodedErrorOptions {
  /** The error that led to this one. */
  readonly cause?: unknown;
  /** What the user should do next. */
  readonly hint?: string;
  /** Plain data for machines: numbers, names, limits. Never secrets. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * An error that answers questions: what (`code`, closed union of its package), why (`cause`) and what to do (`hint`).
 * Compare `code`, never `instanceof`: two copies of a package may meet in one process.
 */
export class CodedError<Code extends string = string> extends Error {
  readonly code: Code;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: Code, message: string, options: CodedErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "CodedError";
    this.code = code;
    this.hint = options.hint;
    this.details = options.details ?? {};
  }
}

/** The code of any thrown value, or undefined when it carries none. Works for Node's system errors too. */
export function toErrorCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** True when the value was thrown with exactly this code. */
export function hasErrorCode(error: unknown, code: string): boolean {
  return toErrorCode(error) === code;
}

/** The message of any thrown value. */
export function toErrorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
