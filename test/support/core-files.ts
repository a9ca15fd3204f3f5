import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [command, ...args] = ["prlimit", "--core=unlimited"] as const;
/** What a process is started through so that its crash leaves a core file. */
export const withCoreFiles: readonly string[] = [command, ...args];

/** Why a crash leaves no file in the folder of its process here, or undefined when it does. */
export function whyNoCoreFiles(): string | undefined {
  const pattern = process.platform === "linux" ? readFileSync("/proc/sys/kernel/core_pattern", "utf8").trim() : "";
  if (!/^core[^/|]*$/u.test(pattern)) return "the system keeps core files elsewhere or not at all";
  return spawnSync(command, [...args, "true"]).status === 0
    ? undefined
    : "prlimit cannot raise the limit of core files";
}

/** The bytes of the one core file in the folder, as text in which they can be looked for. */
export function readCoreFile(folder: string): string {
  const [name, ...more] = readdirSync(folder).filter((file) => file.startsWith("core"));
  if (name === undefined || more.length > 0) throw new Error(`one core file was expected in ${folder}`);
  return readFileSync(join(folder, name), "latin1");
}
