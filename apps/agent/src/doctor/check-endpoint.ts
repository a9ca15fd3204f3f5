import { CodedError } from "@fairlead/kernel";
import { createServer } from "node:net";
import type { AgentConfig } from "../config.ts";
import { readEndpoint } from "../link/endpoint-file.ts";
import { toEndpoint } from "../link/reported.ts";
import type { DataPaths } from "../paths.ts";
import { listen } from "../serve/listen.ts";
import { toServingAddress } from "../serving/serving-address.ts";
import { readServingTrouble } from "../serving/trouble-file.ts";

/**
 * Whether the device's endpoint is there; where no agent runs, whether it could be.
 * @throws CodedError with what the serving process said · `port_taken` · `socket_taken` · `address_refused`
 */
export async function checkEndpoint({ inference }: AgentConfig, paths: DataPaths, running: boolean): Promise<string> {
  if (running) {
    const trouble = readServingTrouble(paths);
    if (trouble !== null)
      throw new CodedError(trouble.code, trouble.message, trouble.hint === undefined ? {} : { hint: trouble.hint });
    const endpoint = readEndpoint(paths);
    return endpoint === null ? "the serving process has not been ready yet" : `the agent serves at ${endpoint}`;
  }
  const address = toServingAddress(inference, paths.root);
  const server = createServer();
  await listen(server, address);
  // Closing takes the socket's file along.
  await new Promise((resolve) => server.close(resolve));
  if (address.kind === "tcp" && address.port === 0) return `any free port of ${address.host}`;
  return `${toEndpoint(address)} is free`;
}
