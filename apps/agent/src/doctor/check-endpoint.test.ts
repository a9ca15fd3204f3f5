import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { AgentConfig } from "../config.ts";
import { toDataPaths } from "../paths.ts";
import { checkEndpoint } from "./check-endpoint.ts";

const root = mkdtempSync(join(tmpdir(), "check-endpoint-"));
afterAll(() => rmSync(root, { recursive: true }));
const paths = toDataPaths(root);
const config = { inference: { host: "127.0.0.1", port: 0, socket: null } } as unknown as AgentConfig;

describe("the doctor of a running agent", () => {
  test("asks the endpoint that the agent named, and fails when nothing there lives", async () => {
    let status = 200;
    const server = createServer((_, response) => response.writeHead(status).end());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    mkdirSync(paths.run, { recursive: true });
    writeFileSync(join(paths.run, "endpoint"), `${endpoint}\n`);
    expect(await checkEndpoint(config, paths, true)).toBe(`the agent serves at ${endpoint}`);
    status = 404;
    await expect(checkEndpoint(config, paths, true)).rejects.toMatchObject({
      code: "endpoint_silent",
      message: `${endpoint}, which the agent named, does not say that it lives: HTTP 404`,
    });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await expect(checkEndpoint(config, paths, true)).rejects.toMatchObject({ code: "endpoint_silent" });
  });
});
