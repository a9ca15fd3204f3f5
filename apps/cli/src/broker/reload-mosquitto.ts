import { CliError } from "../errors.ts";

export interface ReloadPorts {
  readonly readFile: (path: string) => string;
  readonly kill: (pid: number, signal: "SIGHUP") => void;
}

/**
 * Makes Mosquitto read its files again. A file of a process that is gone may name another one by now, which SIGHUP would
 * end: only one that is called mosquitto gets it.
 * @throws CliError `file_unreadable`
 */
export function reloadMosquitto(pidFile: string, { readFile, kill }: ReloadPorts): void {
  const refuse = (message: string, cause?: unknown): never => {
    throw new CliError("file_unreadable", message, {
      cause,
      hint: "give the pid_file of mosquitto.conf with --pid-file, as a user who may signal that process",
    });
  };
  try {
    const text = readFile(pidFile).trim();
    if (!/^[1-9]\d{0,9}$/u.test(text)) return refuse(`${pidFile} holds no process number`);
    const name = readFile(`/proc/${text}/comm`).trim();
    if (name !== "mosquitto") return refuse(`process ${text} of ${pidFile} is ${name}, not mosquitto`);
    kill(Number(text), "SIGHUP");
  } catch (error) {
    if (error instanceof CliError) throw error;
    refuse(`mosquitto was not told: no process that ${pidFile} names could be signalled`, error);
  }
}
