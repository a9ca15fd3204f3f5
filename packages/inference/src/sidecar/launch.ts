import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** How a server is started: its command behind the tools that bind its life and its memory to ours. */
export interface Launch {
  readonly file: string;
  readonly args: readonly string[];
  /** What the machine cannot do, and what is done instead. */
  readonly notes: readonly string[];
}

const reservedBytes = 1_073_741_824;
const run = promisify(execFile);

async function works(file: string, args: readonly string[]): Promise<boolean> {
  try {
    await run(file, [...args], { timeout: 2_000 });
    return true;
  } catch {
    return false;
  }
}

/**
 * `setpriv --pdeathsig` has the kernel kill the server when this process dies, SIGKILL included; `prlimit --data` bounds
 * its private writable memory, 1 GiB above the limit: what programs reserve of it and do not touch counts there (an idle Node.js
 * server reserves 0.6 GB and holds 0.1), while the limit itself is of what is resident, which is looked at. Both replace themselves by the server, so the process id stays. The address space is not
 * bounded: accelerators' drivers and garbage collectors reserve far more of it than they use. A cgroup needs rights
 * that an agent does not have.
 */
export async function toLaunch(command: readonly string[], memoryLimitBytes: number | null): Promise<Launch> {
  const notes: string[] = [];
  let words = [...command];
  if (memoryLimitBytes !== null) {
    const limit = `--data=${memoryLimitBytes + reservedBytes}`;
    if (await works("prlimit", [limit, "--", "true"])) words = ["prlimit", limit, "--", ...words];
    else notes.push("no prlimit here: the memory of the server is looked at now and then, and not bounded between");
  }
  if (await works("setpriv", ["--pdeathsig", "KILL", "--", "true"]))
    words = ["setpriv", "--pdeathsig", "KILL", "--", ...words];
  else
    notes.push(
      "no setpriv --pdeathsig here: a server that ignores the end of its input is ended when the agent starts again",
    );
  const [file = "", ...args] = words;
  return { file, args, notes };
}
