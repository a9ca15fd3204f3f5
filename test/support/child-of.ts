import { readFileSync } from "node:fs";

/** The process ids of the direct children (Linux `/proc/<pid>/task/<pid>/children`); none when the parent is gone. */
export function readChildren(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return text === "" ? [] : text.split(/\s+/u).map(Number);
  } catch {
    return [];
  }
}

export function killNow(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
