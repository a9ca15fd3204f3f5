import { withoutSecrets, type Logger } from "@fairlead/kernel";
import { destination, pino, type Logger as Pino } from "pino";

function wrap(logger: Pino): Logger {
  return {
    debug: (message, fields) => logger.debug(fields ?? {}, message),
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
    child: (fields) => wrap(logger.child(fields)),
  };
}

/** JSON lines on standard error, without secrets wherever one got into; standard output is for what the operator must read. */
export function createLogger(level: "debug" | "info" | "warn" | "error" | "silent"): Logger {
  return wrap(
    pino({ level, base: null, hooks: { streamWrite: withoutSecrets } }, destination({ dest: 2, sync: true })),
  );
}
