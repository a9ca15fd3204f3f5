import { roleSchema, type Role } from "@fairlead/protocol";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runWarmCli, runCliJson } from "../support/cli.ts";
import { TestPlane } from "../support/plane.ts";

const dir = mkdtempSync(join(tmpdir(), "roles-"));
const plane = new TestPlane({ dir });
const tokens = new Map<Role, { readonly tokenId: string; readonly token: string }>();
let ca = "";
let operations: { readonly method: string; readonly path: string; readonly permission: unknown }[] = [];

/** What each permission asks for, said a second time on purpose: the table of the plane is what is tested. */
const rolesByPermission: Record<string, readonly Role[]> = {
  read: ["viewer", "operator", "publisher", "approver", "admin"],
  "read-or-device": ["viewer", "operator", "publisher", "approver", "admin"],
  operate: ["operator", "admin"],
  publish: ["publisher", "admin"],
  approve: ["approver", "admin"],
  "operate-or-approve": ["operator", "approver", "admin"],
  administer: ["admin"],
  device: [],
};

interface Answer {
  readonly status: number;
  readonly code: unknown;
}
interface Asked {
  readonly method: string;
  readonly path: string;
  readonly token: string;
  readonly body?: object;
}
function send({ method, path, token, body }: Asked): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const url = `${plane.url}${path.replaceAll(/\{\w+\}/gu, "nothing-of-that-name")}`;
    const headers = {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    };
    const sent = request(url, { method, ca, headers }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => {
        text += chunk.toString();
        if (response.headers["content-type"]?.startsWith("text/event-stream") === true) response.destroy();
      });
      response.on("close", () => {
        let code: unknown;
        try {
          code = (JSON.parse(text) as { code?: unknown }).code;
        } catch {
          code = undefined;
        }
        resolve({ status: response.statusCode ?? 0, code });
      });
      if (response.headers["content-type"]?.startsWith("text/event-stream") === true) response.destroy();
    });
    sent.on("error", reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
const call = (method: string, path: string, token: string) => send({ method, path, token });

beforeAll(async () => {
  await plane.start();
  ca = readFileSync(join(dir, "data", "ca.pem"), "utf8");
  for (const role of roleSchema.options)
    tokens.set(role, await runCliJson(["tokens", "create", "--role", role, "--description", "test"], plane.cliEnv));
  const { paths } = await plane.get<{ paths: Record<string, Record<string, { "x-permission"?: unknown }>> }>(
    "/api/v1/openapi.json",
  );
  operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...{ path, method: method.toUpperCase() },
      permission: operation["x-permission"],
    })),
  );
}, 60_000);
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

describe("the API", () => {
  it("has a permission on every route, and only its own", () => {
    expect(operations.length).toBeGreaterThan(30);
    for (const { method, path, permission } of operations)
      expect([...Object.keys(rolesByPermission), "public"], `${method} ${path}`).toContain(permission);
  });

  it("A47 lets nobody change anything who may only read", () => {
    // Everybody may begin and end a session of their own.
    const changing = operations.filter(
      ({ method, path }) => method !== "GET" && method !== "HEAD" && path !== "/api/v1/session",
    );
    expect(changing.length).toBeGreaterThan(10);
    for (const { method, path, permission } of changing)
      expect(["read", "read-or-device"], `${method} ${path}`).not.toContain(permission);
  });

  it("A47 lets an operator stop a rollout and an approver pass a stage, and neither do the other's part", async () => {
    const act = (role: Role, action: string) =>
      send({
        ...{ method: "POST", path: `/api/v1/rollouts/rol-${"0".repeat(26)}/actions`, body: { action } },
        token: tokens.get(role)?.token ?? "",
      });
    for (const action of ["pause", "resume", "abort", "undo", "retry"]) {
      expect(await act("operator", action), action).toMatchObject({ status: 404 });
      expect(await act("approver", action), action).toMatchObject({ status: 403, code: "forbidden" });
    }
    expect(await act("approver", "promote")).toMatchObject({ status: 404 });
    expect(await act("operator", "promote")).toMatchObject({ status: 403, code: "forbidden" });
    expect(await act("viewer", "abort")).toMatchObject({ status: 403, code: "forbidden" });
  });

  it("A47 lets each role call what it may, and answers 403 to everything else, whatever the rest of the request is", async () => {
    for (const { method, path, permission } of operations) {
      if (permission === "public") continue;
      for (const [role, { token }] of tokens) {
        const { status, code } = await call(method, path, token);
        const may = rolesByPermission[String(permission)]?.includes(role) === true;
        expect(status === 403 && code === "forbidden", `${role}: ${method} ${path} (${status})`).toBe(!may);
        expect(status, `${role}: ${method} ${path}`).not.toBe(401);
      }
    }
  });

  it("knows who was refused what, and from where", async () => {
    const { token, tokenId } = tokens.get("viewer") ?? { token: "", tokenId: "" };
    await call("POST", "/api/v1/rollouts", token);
    const { items } = await plane.get<{ items: { actor: string; action: string; subject: string; details: object }[] }>(
      "/api/v1/audit?limit=1000",
    );
    const entry = items.find(({ action, actor }) => action === "request.refuse" && actor === `viewer:${tokenId}`);
    expect(entry).toMatchObject({ details: { from: expect.stringContaining("127.0.0.1") } });
    expect(JSON.stringify(items)).not.toContain(token.slice(4, 40));
  });

  it("A58 ends with a token that was revoked or is over, and keeps the last administrator's", async () => {
    const { token, tokenId } = tokens.get("operator") ?? { token: "", tokenId: "" };
    expect(await call("GET", "/api/v1/devices", token)).toMatchObject({ status: 200 });
    expect(await runWarmCli(["tokens", "revoke", tokenId, "--yes"], plane.cliEnv)).toMatchObject({ code: 0 });
    expect(await call("GET", "/api/v1/devices", token)).toMatchObject({ status: 401, code: "unauthenticated" });
    const brief = await runCliJson<{ token: string; expiresAtMs: number }>(
      ["tokens", "create", "--role", "viewer", "--ttl", "1s"],
      plane.cliEnv,
    );
    await expect
      .poll(async () => (await call("GET", "/api/v1/devices", brief.token)).status, { timeout: 5_000 })
      .toBe(401);
    const admins = (await runCliJson<{ tokenId: string; role: Role }[]>(["tokens", "list"], plane.cliEnv)).filter(
      ({ role }) => role === "admin",
    );
    expect(admins).toHaveLength(2);
    const [first, second] = admins.map(({ tokenId: id }) => id);
    const own = { ...plane.cliEnv, FAIRLEAD_TOKEN: tokens.get("admin")?.token ?? "" };
    expect(await runWarmCli(["tokens", "revoke", first ?? "", "--yes"], own)).toMatchObject({ code: 0 });
    expect(await runWarmCli(["tokens", "revoke", second ?? "", "--yes"], own)).toMatchObject({
      code: 5,
      stderr: expect.stringContaining("last administrator"),
    });
  });
});
