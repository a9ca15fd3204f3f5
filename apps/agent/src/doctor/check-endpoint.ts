import { CodedError, toErrorMessage } from "@fairlead/kernel";
import { createServer } from "node:net";
import type { AgentConfig } from "../config.ts";
import { readEndpoint } from "../link/endpoint-file.ts";
import { fromEndpoint, toEndpoint } from "../link/reported.ts";
import type { DataPaths } from "../paths.ts";
import { callEndpoint } from "../sources/endpoint-client.ts";
import { listen } from "../serve/listen.ts";
import { toServingAddress } from "../serving/serving-address.ts";
import { readServingTrouble } from "../serving/trouble-file.ts";

const patienceMs = 5_000;

/** @throws CodedError `endpoint_silent` when nothing there says that it lives */
async function requireAnswer(endpoint: string): Promise<void> {
  const address = fromEndpoint(endpoint);
  const call = { path: "/v2/health/live", client: "doctor", signal: AbortSignal.timeout(patienceMs) };
  const said = await callEndpoint(address, call).then(({ status }) => `HTTP ${status}`, toErrorMessage);
  if (said === "HTTP 200") return;
  throw new CodedError("endpoint_silent", `${endpoint}, which the agent named, does not say that it lives: ${said}`, {
    hint: "the agent's log says what its serving process does",
  });
}

/**
 * Whether the device's endpoint answers; where no agent runs, whether it could be.
 * @throws CodedError with what the serving process said · `endpoint_silent` · `port_taken` · `socket_taken` · `address_refused`
 */
export async function checkEndpoint({ inference }: AgentConfig, paths: DataPaths, running: boolean): Promise<string> {
  if (running) {
    const trouble = readServingTrouble(paths);
    if (trouble !== null)
      throw new CodedError(trouble.code, trouble.message, trouble.hint === undefined ? {} : { hint: trouble.hint });
    const endpoint = readEndpoint(paths);
    if (endpoint === null) return "the serving process has not been ready yet";
    await requireAnswer(endpoint);
    return `the agent serves at ${endpoint}`;
  }
  const address = toServingAddress(inference, paths.root);
  const server = createServer();
  await listen(server, address);
  // Closing takes the socket's file along.
  await new Promise((resolve) => server.close(resolve));
  if (address.kind === "tcp" && address.port === 0) return `any free port of ${address.host}`;
  return `${toEndpoint(address)} is free`;
}
