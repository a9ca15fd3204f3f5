import { readFileSync, mkdtempSync, rmSync } from "node:fs";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { callPlane } from "../support/call-plane.ts";
import { TestPlane } from "../support/plane.ts";
import { createRequest } from "./plane-harness.ts";

const dir = mkdtempSync(join(tmpdir(), "guessing-"));
const plane = new TestPlane({ dir });
const guesses = 10_000;

interface Guess {
  readonly method: string;
  readonly path: string;
  readonly from: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** The statuses of so many guesses, over few connections that are kept. */
async function guess(count: number, toGuess: (index: number) => Guess): Promise<Map<number, number>> {
  const ca = readFileSync(join(dir, "data", "ca.pem"), "utf8");
  const agent = new Agent({ keepAlive: true, maxSockets: 20 });
  const statuses = new Map<number, number>();
  let next = 0;
  const one = ({ from, body, path, ...rest }: Guess) =>
    new Promise<void>((resolve, reject) => {
      const sent = request(`${plane.url}${path}`, { ...rest, agent, ca, localAddress: from, family: 4 }, (response) => {
        const status = response.statusCode ?? 0;
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        response.resume().on("end", resolve).on("error", reject);
      });
      sent.on("error", reject);
      sent.end(body);
    });
  const work = async () => {
    while (next < count) await one(toGuess(next++));
  };
  await Promise.all(Array.from({ length: 20 }, work));
  agent.destroy();
  return statuses;
}

const readMemoryKb = () =>
  Number(/^VmRSS:\s+(\d+)/mu.exec(readFileSync(`/proc/${plane.process.pid}/status`, "utf8"))?.[1]);
const countRefusals = async (): Promise<number> => {
  const { items } = await plane.get<{ items: { action: string }[] }>("/api/v1/audit?limit=1000");
  return items.filter(({ action }) => action === "request.refuse").length;
};

beforeAll(async () => {
  await plane.start();
}, 60_000);
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

describe("A58 guessing", () => {
  it("10,000 tokens from one address are stopped after some, cost little, and keep nobody else out", async () => {
    const fingerprint = plane.token.split(".")[1] ?? "";
    const before = readMemoryKb();
    const beganAtMs = performance.now();
    const statuses = await guess(guesses, (index) => ({
      ...{ method: "GET", path: "/api/v1/devices", from: "127.0.0.2" },
      headers: { authorization: `Bearer fla_${String(index).padStart(43, "A")}.${fingerprint}` },
    }));
    const minutes = (performance.now() - beganAtMs) / 60_000;
    expect(new Set(statuses.keys())).toEqual(new Set([401, 429]));
    expect(statuses.get(401)).toBeLessThanOrEqual(60 + Math.ceil(60 * minutes) + 20);
    expect(await countRefusals()).toBeLessThanOrEqual(60 + Math.ceil(30 * minutes) + 1);
    expect(readMemoryKb() - before).toBeLessThan(128 * 1_024);
    expect((await plane.devices()).length).toBe(0);
  }, 120_000);

  it("the right token does not help from an address that was guessing", async () => {
    const call = { method: "GET", path: "/api/v1/devices", token: plane.token };
    const wrong = { ...call, token: `${plane.token.slice(0, -1)}x`, from: "127.0.0.3" };
    for (let count = 0; count < 80; count += 1) await callPlane(plane, wrong);
    expect((await callPlane(plane, { ...call, from: "127.0.0.3" })).status).toBe(429);
    expect((await callPlane(plane, call)).status).toBe(200);
  });

  it("2,000 sessions are as hard to guess as tokens", async () => {
    const statuses = await guess(2_000, (index) => ({
      ...{ method: "GET", path: "/api/v1/session", from: "127.0.0.4" },
      headers: { cookie: `__Host-fairlead=${String(index).padStart(43, "A")}` },
    }));
    expect(new Set(statuses.keys())).toEqual(new Set([401, 429]));
  }, 60_000);

  it("2,000 enrolment tokens are stopped after 600", async () => {
    const { csr } = await createRequest();
    const fingerprint = plane.token.split(".")[1] ?? "";
    const beganAtMs = performance.now();
    const statuses = await guess(2_000, (index) => ({
      ...{ method: "POST", path: "/api/v1/enrol", from: "127.0.0.5", headers: { "content-type": "application/json" } },
      body: JSON.stringify({
        ...{ token: `fle_${String(index).padStart(43, "A")}.${fingerprint}`, device: `guess-${index}`, csr },
        profile: "generic-x86",
      }),
    }));
    const minutes = (performance.now() - beganAtMs) / 60_000;
    expect(new Set(statuses.keys())).toEqual(new Set([401, 429]));
    expect(statuses.get(401)).toBeLessThanOrEqual(600 + Math.ceil(600 * minutes) + 20);
  }, 60_000);
});

describe("A58 one enrolment token for one device", () => {
  const enrol = (token: string, who: { readonly device: string; readonly csr: string }) =>
    callPlane(plane, { method: "POST", path: "/api/v1/enrol", json: { token, ...who, profile: "generic-x86" } });
  const createToken = async (): Promise<string> =>
    String((await plane.post("/api/v1/enrolments/tokens", { autoApprove: true, uses: 1 }))["token"]);

  it("lets exactly one of 20 in that come at the same moment, and leaves nothing of the others", async () => {
    const token = await createToken();
    const requests = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => ({ device: `race-${index}`, csr: (await createRequest()).csr })),
    );
    const answers = await Promise.all(requests.map((who) => enrol(token, who)));
    const codes = answers.map(({ status, body }) => (status === 200 ? "200" : `${status} ${String(body["code"])}`));
    expect(codes.toSorted()).toEqual(["200", ...Array<string>(19).fill("403 token_spent")]);
    const raced = (await plane.devices()).filter(({ device }) => device.startsWith("race-"));
    expect(raced.map(({ device }) => device)).toEqual([requests[codes.indexOf("200")]?.device]);
    const { items } = await plane.get<{ items: { device: string }[] }>("/api/v1/enrolments");
    expect(items.filter(({ device }) => device.startsWith("race-"))).toHaveLength(1);
  });

  it("gives the same device its answer again, and another device or key nothing", async () => {
    const token = await createToken();
    const who = { device: "first-1", csr: (await createRequest()).csr };
    const first = await enrol(token, who);
    expect([first.status, first.body["state"]]).toEqual([200, "approved"]);
    expect((await enrol(token, who)).body).toEqual(first.body);
    const other = await enrol(token, { device: "second-1", csr: (await createRequest()).csr });
    expect([other.status, other.body["code"]]).toEqual([403, "token_spent"]);
    const stolen = await enrol(token, { device: "first-1", csr: (await createRequest()).csr });
    expect([stolen.status, stolen.body["code"]]).toEqual([409, "device_exists"]);
  });

  it("tells nothing of a request to somebody with another token", async () => {
    const [token, another] = [await createToken(), await createToken()];
    const { body } = await enrol(token, { device: "asked-1", csr: (await createRequest()).csr });
    const path = `/api/v1/enrolments/${String(body["enrolmentId"])}/poll`;
    const poll = (json: object) => callPlane(plane, { method: "POST", path, json });
    expect((await poll({ token })).status).toBe(200);
    expect(await poll({ token: another })).toMatchObject({ status: 401, body: { code: "token_invalid" } });
  });
});
