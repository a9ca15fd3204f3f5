import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createConnectionLimit, type RefusedConnection } from "./connection-limit.ts";

const maxPerAddress = 3;
let refused: RefusedConnection[] = [];
let isProxy = false;
const server = createServer();
const clients: Socket[] = [];

server.on(
  "connection",
  createConnectionLimit({ maxPerAddress, isExempt: () => isProxy, onRefused: (one) => refused.push(one) }),
);
beforeEach(async () => {
  [refused, isProxy] = [[], false];
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await new Promise((resolve) => void server.close(resolve));
});

/** After the server has seen it. */
async function open(): Promise<Socket> {
  const seen = new Promise((resolve) => void server.once("connection", resolve));
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1").on("error", () => undefined);
  clients.push(client.resume());
  await seen;
  return client;
}

it("ends the connections beyond the limit, and tells of each that it ended", async () => {
  for (let count = 0; count < maxPerAddress; count += 1) await open();
  expect(refused).toEqual([]);
  for (let count = 0; count < 2; count += 1) {
    const client = await open();
    await new Promise((resolve) => void (client.closed ? resolve(null) : client.once("close", resolve)));
  }
  const one = { from: "127.0.0.1", why: "too many connections of one address" };
  expect(refused).toEqual([one, one]);
});

it("counts what is open, not what was", async () => {
  for (let count = 0; count < 2 * maxPerAddress; count += 1) {
    const gone = new Promise<void>((resolve) => {
      server.once("connection", (socket) => void socket.once("close", () => resolve()));
    });
    (await open()).destroy();
    await gone;
  }
  expect(refused).toEqual([]);
});

it("does not count a proxy's, which are many people's", async () => {
  isProxy = true;
  for (let count = 0; count < 2 * maxPerAddress; count += 1) await open();
  expect(refused).toEqual([]);
});
