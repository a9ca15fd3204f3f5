import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createDeviceConnections } from "./device-connections.ts";

describe("the connections of devices", () => {
  const server = createServer();
  const opened: Socket[] = [];
  beforeEach(async () => void (await once(server.listen(0, "127.0.0.1"), "listening")));
  afterEach(async () => {
    for (const socket of opened.splice(0)) socket.destroy();
    await once(server.close(), "close");
  });

  async function open(): Promise<Socket> {
    const accepted = once(server, "connection");
    const client = connect((server.address() as AddressInfo).port, "127.0.0.1").on("error", () => undefined);
    const [socket] = (await accepted) as [Socket];
    opened.push(client, socket);
    return socket;
  }

  it("end with the certificate that they were begun with, and those of another certificate stay", async () => {
    const connections = createDeviceConnections();
    const [old, renewed] = [await open(), await open()];
    connections.note({ device: "cam-1", fingerprint: "sha256:a", notAfterMs: 1_000 }, old);
    connections.note({ device: "cam-1", fingerprint: "sha256:b", notAfterMs: 5_000 }, renewed);
    expect(connections.endExpired(999)).toEqual([]);
    const closed = once(old, "close");
    expect(connections.endExpired(1_000)).toEqual(["cam-1"]);
    await closed;
    expect(renewed.destroyed).toBe(false);
    expect(connections.endExpired(1_000)).toEqual([]);
  });

  it("end when the end of their certificate is no time", async () => {
    const connections = createDeviceConnections();
    connections.note({ device: "cam-1", fingerprint: "sha256:a", notAfterMs: Number.NaN }, await open());
    expect(connections.endExpired(0)).toEqual(["cam-1"]);
  });
});
