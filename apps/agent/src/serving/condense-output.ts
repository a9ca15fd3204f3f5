import { CondensedOutput, type Clock, type Logger } from "@fairlead/kernel";
import type { ChildProcess } from "node:child_process";

/** What the runtime and its process write on stderr, as one line per kind with its count. */
export function condenseOutput(child: ChildProcess, { clock, logger }: { clock: Clock; logger: Logger }): void {
  const output = new CondensedOutput({
    nowMs: () => clock.monotonicMs(),
    schedule: (run, afterMs) => {
      const timer = setTimeout(run, afterMs).unref();
      return () => clearTimeout(timer);
    },
    onLine: ({ source, severity, text, count }) => {
      const times = count === 1 ? {} : { times: count };
      const where = source === null ? {} : { source };
      const level = severity === "error" ? "error" : "warn";
      logger[level]("the serving process writes", { reason: text, ...where, ...times });
    },
  });
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => output.push(chunk));
  child.stderr?.once("close", () => output.end());
}
