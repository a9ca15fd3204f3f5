import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { Aedes } from "aedes";
import { silentLogger } from "@fairlead/kernel";
import { connectAsync } from "mqtt";
import { expect, it } from "vitest";
import { isLocalBroker, openTopicPipe } from "./topic-pipe.ts";

it("answers each message once in order, and the one that was not answered again after a break", async () => {
  const aedes = await Aedes.createBroker();
  const server = createServer((socket) => void aedes.handle(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const options = { url, clientId: "pipe", input: "camera/in", output: "camera/out", logger: silentLogger };
  const upper = async (payload: Uint8Array) => Buffer.from(Buffer.from(payload).toString().toUpperCase());

  const observer = await connectAsync(url);
  const heard: string[] = [];
  observer.on("message", (_topic, payload) => void heard.push(payload.toString()));
  await observer.subscribeAsync("camera/out", { qos: 1 });
  const subscribed = once(aedes, "subscribe");
  const begun = Promise.withResolvers<void>();
  const stuck = openTopicPipe({
    ...options,
    answer: async (payload) => {
      if (Buffer.from(payload).toString() !== "b") return upper(payload);
      begun.resolve();
      return await new Promise<Uint8Array>(() => undefined);
    },
  });
  await subscribed;
  for (const text of ["a", "b", "c"]) await observer.publishAsync("camera/in", text, { qos: 1 });
  await begun.promise;
  await stuck.close();

  const pipe = openTopicPipe({ ...options, answer: upper });
  await expect.poll(() => heard).toEqual(["A", "B", "C"]);
  await pipe.close();
  await observer.endAsync();
  await new Promise<void>((resolve) => aedes.close(() => resolve()));
  server.close();
});

it("says on the topic of the answers that a message was too large, and goes on with the next", async () => {
  const aedes = await Aedes.createBroker();
  const server = createServer((socket) => void aedes.handle(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const observer = await connectAsync(url);
  const heard: string[] = [];
  observer.on("message", (_topic, payload) => void heard.push(payload.toString()));
  await observer.subscribeAsync("camera/out", { qos: 1 });
  const subscribed = once(aedes, "subscribe");
  const pipe = openTopicPipe({
    ...{ url, clientId: "pipe", input: "camera/in", output: "camera/out", logger: silentLogger, maxPayloadBytes: 4 },
    answer: async (payload) => payload,
  });
  await subscribed;
  for (const text of ["12345", "1234"]) await observer.publishAsync("camera/in", text, { qos: 1 });
  await expect.poll(() => heard).toEqual([JSON.stringify({ error: "the message has 5 bytes, more than 4" }), "1234"]);
  await pipe.close();
  await observer.endAsync();
  await new Promise<void>((resolve) => aedes.close(() => resolve()));
  server.close();
});

it("takes no broker beyond the device, no secret in an address and no topic that answers itself", () => {
  for (const url of ["mqtt://127.0.0.1:1883", "mqtt://localhost", "mqtt://[::1]:99"])
    expect(isLocalBroker(url)).toBe(true);
  const bad = ["mqtt://10.0.0.1", "mqtts://localhost", "mqtt://user:pw@localhost", "mqtt://localhost.example.com", "x"];
  for (const url of bad) expect(isLocalBroker(url)).toBe(false);
  const answer = async (payload: Uint8Array) => payload;
  const options = { url: "mqtt://127.0.0.1", clientId: "p", input: "a", output: "a", answer, logger: silentLogger };
  expect(() => openTopicPipe(options)).toThrow(expect.objectContaining({ code: "config_invalid" }));
});

it("tells once that its broker is away, and asks for it more and more seldom", async () => {
  const told: unknown[] = [];
  let asked = 0;
  const server = createServer((socket) => {
    asked += 1;
    socket.resetAndDestroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const pipe = openTopicPipe({
    url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...{ clientId: "pipe", input: "camera/in", output: "camera/out" },
    logger: { ...silentLogger, warn: (_message, fields) => void told.push(fields?.["reason"]) },
    answer: async (payload) => payload,
  });
  await expect.poll(() => asked, { timeout: 4_500 }).toBe(4);
  expect(new Set(told).size).toBe(told.length);
  await pipe.close();
  server.close();
});
