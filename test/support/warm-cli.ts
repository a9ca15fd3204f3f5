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
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`the command line that tests prepare with ended with ${String(code)} before it listened`);
  });
  await Promise.race([once(child, "message"), ended]);
  ended.catch(() => undefined);
  process.env[warmCliVariable] = socketPath;
  return () => {
    child.kill();
    rmSync(dir, { recursive: true, force: true });
  };
}
