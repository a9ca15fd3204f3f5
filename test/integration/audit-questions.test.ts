import type { AuditEntry } from "@fairlead/protocol";
import { Agent, request } from "node:https";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { enrol, startPlane, type Harness } from "./plane-harness.ts";

let harness: Harness;
let scoped = { token: "", actor: "" };

beforeAll(async () => {
  harness = await startPlane();
  for (const [device, site] of [
    ["cam-berlin", "berlin"],
    ["cam-munich", "munich"],
  ] as const)
    await enrol(harness, device, { site });
  const json = { role: "viewer", selector: "site=berlin" };
  const { body } = await harness.call<{ token: string; tokenId: string }>("POST", "/api/v1/tokens", { json });
  scoped = { token: body.token, actor: `viewer:${body.tokenId}` };
}, 60_000);
afterAll(() => harness[Symbol.asyncDispose]());

const read = async (): Promise<AuditEntry[]> =>
  (await harness.call<{ items: AuditEntry[] }>("GET", "/api/v1/audit?limit=1000")).body.items;
/** A plane tells what it counted when it ends. */
const readCounted = async (): Promise<Readonly<Record<string, number>>> => {
  await harness.plane.process.kill("SIGTERM");
  await harness.plane.start();
  const condensed = (await read()).filter(({ action }) => action === "refusals.condense");
  const counted: Record<string, number> = {};
  for (const { details } of condensed)
    for (const [name, count] of Object.entries(details["byCaller"] as Record<string, number>))
      counted[name] = (counted[name] ?? 0) + count;
  return counted;
};

/** So many questions over few connections that are kept; all are answered with 404. */
async function askMany(paths: readonly string[], how: { readonly from: string; readonly token?: string }) {
  const agent = new Agent({ keepAlive: true, maxSockets: 8, ca: harness.ca, localAddress: how.from, family: 4 });
  const headers = how.token === undefined ? {} : { authorization: `Bearer ${how.token}` };
  const ask = (path: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const sent = request(`${harness.plane.url}${path}`, { agent, headers }, (response) => {
        response.resume().on("end", () => resolve(response.statusCode));
      });
      sent.on("error", reject).end();
    });
  expect(new Set(await Promise.all(paths.map(ask)))).toEqual(new Set([404]));
  agent.destroy();
}
const isFrom = (address: string) => (entry: AuditEntry) => String(entry.details["from"]).endsWith(address);

describe("what was asked for and refused is in the audit log", () => {
  it("A58 names a token that looks for devices of others: one entry, and one count of the other 999", async () => {
    const guesses = Array.from({ length: 999 }, (_, index) => `/api/v1/devices/cam-${index}`);
    await askMany(["/api/v1/devices/cam-munich"], { from: "127.0.0.21", token: scoped.token });
    await askMany(guesses, { from: "127.0.0.21", token: scoped.token });
    expect((await read()).filter(isFrom("127.0.0.21"))).toMatchObject([
      { actor: scoped.actor, action: "request.refuse", subject: "GET /api/v1/devices/cam-munich", reason: "not_found" },
    ]);
    const kind = "GET /api/v1/devices/:device: not_found";
    expect((await readCounted())[`${scoped.actor}: ${kind}`]).toBe(999);
  }, 120_000);

  it("A58 A64 tells of paths that do not exist, a thousand of them in few entries, and of no query", async () => {
    const paths = Array.from({ length: 1_000 }, (_, index) => `/admin/${index}?key=hidden-${index}`);
    await askMany(paths.slice(0, 1), { from: "127.0.0.22" });
    await askMany(paths.slice(1), { from: "127.0.0.22" });
    const entries = (await read()).filter(isFrom("127.0.0.22"));
    expect(entries).toMatchObject([
      { actor: "anonymous", action: "request.refuse", subject: "GET /admin/0", reason: "not_found" },
    ]);
    expect((await readCounted())["anonymous 127.0.0.22: no route: not_found"]).toBe(999);
    expect(JSON.stringify(await read())).not.toContain("hidden");
  }, 120_000);

  it("A58 tells of connections that were ended because their address had too many", async () => {
    const port = Number(new URL(harness.plane.url).port);
    const sockets: Socket[] = [];
    const open = () => {
      const socket = connect({ host: "127.0.0.1", port, localAddress: "127.0.0.23" });
      sockets.push(socket.on("error", () => undefined).resume());
    };
    for (let count = 0; count < 520; count += 1) open();
    await eventually("eight are ended", () => sockets.filter(({ closed }) => closed).length >= 8);
    for (const socket of sockets) socket.destroy();
    const why = "too many connections of one address";
    await eventually("there is an entry", async () => (await read()).some(isFrom("127.0.0.23")));
    expect((await read()).filter(isFrom("127.0.0.23"))).toMatchObject([
      { actor: "anonymous", action: "connection.refuse", subject: "HTTPS connection", reason: why },
    ]);
    expect((await readCounted())[`anonymous 127.0.0.23: connection: ${why}`]).toBe(7);
  }, 60_000);

  it("is intact after all of it", async () => {
    expect(await runCli(["audit", "verify"], harness.plane.cliEnv)).toMatchObject({ code: 0 });
  });
});
