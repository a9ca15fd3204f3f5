import { CodedError } from "@fairlead/kernel";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { tryLock } from "../lock.ts";

const pollMs = 25;

/**
 * One conversation at a time with a TPM that has no resource manager: a second one's flush would take away what the
 * first one just loaded.
 * @throws CodedError `tpm_unavailable`: another conversation of this device lasted longer than `timeoutMs`
 */
export async function takeTpmTurn(folder: string, timeoutMs: number): Promise<Disposable> {
  const path = join(folder, "tpm.lock");
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const attempt = tryLock(path);
    if (attempt.kind === "taken") {
      chmodSync(path, 0o600);
      return attempt.lock;
    }
    if (!attempt.isHeld) throw attempt.error;
    if (performance.now() > endMs)
      throw new CodedError("tpm_unavailable", "another conversation with the TPM does not end", {
        cause: attempt.error,
        hint: "see whether `fairlead-agent doctor` or `enrol` runs on this device",
      });
    await sleep(pollMs);
  }
}
