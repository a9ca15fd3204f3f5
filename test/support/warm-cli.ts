import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { warmCliVariable } from "./cli.ts";

/** Once before the integration tests, of which some two thousand commands would each start a process of their own. */
export async function setup(): Promise<() => void> {
  const dir = mkdtempSync(join(tmpdir(), "fairlead-cli-"));
  const socketPath = join(dir, "socket");
  const child = fork(new URL("warm-cli-main.ts", import.meta.url), [socketPath], { execArgv: [] });
  await once(child, "message");
  process.env[warmCliVariable] = socketPath;
  return () => {
    child.kill();
    rmSync(dir, { recursive: true, force: true });
  };
}
