import { mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { listen } from "./listen.ts";

const folder = mkdtempSync(join(tmpdir(), "listen-"));
const socketPath = join(folder, "inference.sock");
const servers: Server[] = [];
const toServer = (): Server => {
  const server = createServer((socket) => socket.end());
  servers.push(server);
  return server;
};

describe("the endpoint's address", () => {
  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
    rmSync(socketPath, { force: true });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("names the port that somebody else holds and what to set", async () => {
    const first = await listen(toServer(), { kind: "tcp", host: "127.0.0.1", port: 0 });
    if (first.kind !== "tcp") throw new Error("no port");
    await expect(listen(toServer(), first)).rejects.toMatchObject({
      code: "port_taken",
      message: `port ${first.port} of 127.0.0.1 is in use by another program`,
      hint: expect.stringContaining("inference.port"),
    });
  });

  it("says of an address that this machine does not have, and of a folder that is not there, that it cannot be used", async () => {
    const code = "address_refused";
    await expect(listen(toServer(), { kind: "tcp", host: "192.0.2.1", port: 0 })).rejects.toMatchObject({ code });
    const nowhere = { kind: "unix", socketPath: join(folder, "nowhere", "a.sock") } as const;
    await expect(listen(toServer(), nowhere)).rejects.toMatchObject({ code, hint: expect.stringContaining("socket") });
  });

  it("is a socket for owner and group alone, whatever the process's mask", async () => {
    const before = process.umask(0);
    try {
      await listen(toServer(), { kind: "unix", socketPath });
      expect(process.umask(0)).toBe(0);
    } finally {
      process.umask(before);
    }
    expect(statSync(socketPath).mode & 0o777).toBe(0o660);
  });

  it("takes over the socket of a process that is gone, and never one at which somebody answers", async () => {
    const gone = createServer();
    await listen(gone, { kind: "unix", socketPath });
    renameSync(socketPath, `${socketPath}.left`);
    await new Promise((resolve) => gone.close(resolve));
    renameSync(`${socketPath}.left`, socketPath);
    await listen(toServer(), { kind: "unix", socketPath });
    await expect(listen(toServer(), { kind: "unix", socketPath })).rejects.toMatchObject({ code: "socket_taken" });
    expect(statSync(socketPath).isSocket()).toBe(true);
  });

  it("leaves a file alone that is no socket", async () => {
    writeFileSync(socketPath, "mine");
    await expect(listen(toServer(), { kind: "unix", socketPath })).rejects.toMatchObject({ code: "address_refused" });
    expect(statSync(socketPath).size).toBe(4);
  });
});
