import { readlinkSync } from "node:fs";
import { constants, platform, setPriority } from "node:os";

/** What a thread of the system may take to change its policy; it is done in milliseconds. */
const maxChangeMs = 2_000;

/**
 * Makes the calling thread, and those that it starts later, give way to everything else on the device. For niceness and
 * policy Linux counts by thread (setpriority(2), "C library/kernel differences"; sched(7)); elsewhere it would be the whole
 * process, so nothing is done. Niceness alone lets a thread finish its slice of some milliseconds when another wakes; under
 * SCHED_IDLE it stops at once. Node.js cannot ask for that policy: chrt(1) can, where it is installed.
 */
export async function goToBackground(): Promise<void> {
  if (platform() !== "linux") return;
  setPriority(0, constants.priority.PRIORITY_LOW);
  try {
    // Loaded here only: every session's thread would pay for it when it starts.
    const { execFileSync } = await import("node:child_process");
    const thread = readlinkSync("/proc/thread-self").split("/").at(-1) ?? "";
    execFileSync("chrt", ["-i", "-p", "0", thread], { stdio: "ignore", timeout: maxChangeMs });
  } catch {
    // No chrt, or a container that forbids it: niceness is what there is.
  }
}
