import { toErrorMessage, withoutSecrets, type LogFields, type Logger } from "@fairlead/kernel";

const levels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof levels)[number];

export interface LogOptions {
  readonly level: LogLevel;
  readonly write: (line: string) => void;
  /** Pretty text for a terminal instead of one JSON document per line. */
  readonly pretty: boolean;
  readonly nowMs: () => number;
}

function toPlain(value: unknown): unknown {
  return value instanceof Error ? toErrorMessage(value) : value;
}

/** One line per message. Written here and not by a library: a logger must not be the largest thing in the supervisor. */
export function createLogger(options: LogOptions, context: LogFields = {}): Logger {
  const lowest = levels.indexOf(options.level);
  const write = (line: string): void => options.write(withoutSecrets(line));
  const log =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (levels.indexOf(level) < lowest) return;
      const time = new Date(options.nowMs()).toISOString();
      const all = Object.entries({ ...context, ...fields }).map(([key, value]) => [key, toPlain(value)] as const);
      if (options.pretty) {
        const text = all.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(" ");
        write(`${time.slice(11, 23)} ${level.toUpperCase().padEnd(5)} ${message} ${text}\n`);
      } else write(`${JSON.stringify({ time, level, message, ...Object.fromEntries(all) })}\n`);
    };
  return {
    debug: log("debug"),
    info: log("info"),
    warn: log("warn"),
    error: log("error"),
    child: (fields) => createLogger(options, { ...context, ...fields }),
  };
}
