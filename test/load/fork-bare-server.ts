import { fork } from "node:child_process";
import { once } from "node:events";
import type { BareModel } from "./bare-server.ts";

/** The server of `bare-server.ts` as a process of its own, ended with the scope. */
export async function forkBareServer(
  model: BareModel,
): Promise<Disposable & { readonly port: number; readonly pid: number }> {
  const child = fork(new URL("./bare-server.ts", import.meta.url), [JSON.stringify(model)]);
  const [{ port }] = (await once(child, "message")) as [{ port: number }];
  return { port, pid: child.pid ?? -1, [Symbol.dispose]: () => void child.kill() };
}
