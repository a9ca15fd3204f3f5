import { parseTpmPublic, toKeyFingerprint, toPublicKey } from "@fairlead/integrity/tpm";
import type { AuditEntry } from "@fairlead/protocol";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { drives, seenElsewhere } from "../support/audit-drives.ts";
import {
  createAuditWorld,
  seedAuditWorld,
  type AuditWorld,
  type Identity,
  type TpmSteps,
} from "../support/audit-world.ts";
import { callPlane, readRoutes, type PlaneCall, type RouteFacts } from "../support/call-plane.ts";
import { runWarmCli, runCliJson } from "../support/cli.ts";
import { TestPlane } from "../support/plane.ts";
import { RawTpmDevice } from "../support/raw-tpm-device.ts";
import { SoftwareTpm, whyNoTpm } from "../support/swtpm.ts";

const missingTpm = whyNoTpm();
const dir = mkdtempSync(join(tmpdir(), "audit-"));
const args = ["--webhook-networks", "127.0.0.1/32", "--webhook-plain-http"];
const plane = new TestPlane({ dir: join(dir, "plane"), args });
const tokens = { viewer: "", second: "" };
const actors = { viewer: "", second: "", admin: "" };
const seen = new Set<string>();
let world: AuditWorld;
let routes: readonly RouteFacts[] = [];
let known: Identity;
let tpm: SoftwareTpm | undefined;

const readNewest = async (limit: number): Promise<AuditEntry[]> =>
  (await plane.get<{ items: AuditEntry[] }>(`/api/v1/audit?limit=${limit}`)).items;
/** What the log holds since this entry, oldest first. */
const readSince = async (index: number): Promise<AuditEntry[]> =>
  (await readNewest(1_000)).filter((entry) => entry.index > index).toReversed();
const readLastIndex = async (): Promise<number> => (await readNewest(1))[0]?.index ?? -1;
const whoAmI = async (token: string): Promise<string> =>
  String((await callPlane(plane, { method: "GET", path: "/api/v1/session", token })).body["actor"]);

/** Every route has addresses of its own, so that an entry says by itself which call it is about. */
const addressOf = ({ name }: RouteFacts, part: number): string =>
  `127.0.${part}.${10 + Object.keys(drives).indexOf(name)}`;
const needsTpm = [
  "POST /api/v1/enrol/endorsed",
  "POST /api/v1/enrol/endorsed/{challenge}",
  "POST /api/v1/device/session",
];

async function openTpm(): Promise<() => Promise<TpmSteps>> {
  if (missingTpm !== null) return () => Promise.reject(new Error(missingTpm));
  tpm = await SoftwareTpm.start(join(dir, "tpm"));
  const raw = await RawTpmDevice.make(tpm, join(dir, "tpm-work"));
  const fingerprint = toKeyFingerprint(toPublicKey(parseTpmPublic(raw.endorsement.publicArea).key));
  await plane.post("/api/v1/enrolments/endorsements", { fingerprint, autoApprove: true });
  const name = "cam-tpm";
  return async () => ({
    ...{ name, request: await raw.toRequest(name) },
    open: (challenge) => raw.open({ ...challenge, status: 201 }),
    session: async () => (await raw.toSessionRequest(plane, name)).body,
  });
}

beforeAll(async () => {
  mkdirSync(join(dir, "plane"), { recursive: true });
  const seeded = await seedAuditWorld(join(dir, "plane", "data"));
  await plane.start();
  world = createAuditWorld({ plane, seeded, toTpm: await openTpm() });
  routes = await readRoutes(plane);
  known = await world.enrol();
  for (const [name, role] of [
    ["viewer", "viewer"],
    ["second", "admin"],
  ] as const) {
    tokens[name] = String((await plane.post("/api/v1/tokens", { role }))["token"]);
    actors[name] = await whoAmI(tokens[name]);
  }
  actors.admin = await whoAmI(plane.token);
}, 120_000);
afterAll(async () => {
  await tpm?.[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

const toChanging = (): RouteFacts[] => routes.filter(({ method }) => method !== "GET" && method !== "HEAD");
const routeOf = (name: string): RouteFacts => {
  const route = routes.find((one) => one.name === name);
  if (route === undefined) throw new Error(`${name} is not in the plane's table of routes`);
  return route;
};

/** Who the route is for, as a call says it and as the log names it. */
function toCaller({ permission }: RouteFacts, who: "admin" | "second"): { call: Partial<PlaneCall>; actor: string } {
  if (permission === "public") return { call: {}, actor: "anonymous" };
  if (permission === "device") return { call: { identity: known }, actor: `device:${known.device}` };
  return { call: { token: who === "admin" ? plane.token : tokens.second }, actor: actors[who] };
}
function toPath({ path }: RouteFacts, values: readonly string[]): string {
  let next = 0;
  return path.replaceAll(/\{\w+\}/gu, () => values[next++] ?? "nothing-of-that-name");
}
const queryOf = ({ method }: RouteFacts): string => (method === "PUT" ? "?kind=onnx" : "");

interface Expected {
  readonly actor: string;
  readonly code: string;
}
/** Makes the call, which must be refused with this code, and looks for the one entry that tells of it. */
async function expectRefusal(call: PlaneCall & { readonly from: string }, { actor, code }: Expected): Promise<void> {
  const last = await readLastIndex();
  const { status, body } = await callPlane(plane, call);
  const what = `${call.method} ${call.path} as ${actor}: ${status} ${JSON.stringify(body)}`;
  expect(body["code"], what).toBe(code);
  const entries = (await readSince(last)).filter(({ details }) => details["from"] === call.from);
  expect(entries, what).toEqual([
    expect.objectContaining({
      ...{ actor, action: "request.refuse", reason: code },
      subject: `${call.method} ${call.path.split("?")[0]}`.slice(0, 200),
      details: expect.objectContaining({ message: expect.stringMatching(/./u) as string }) as object,
    }),
  ]);
  expect(Object.keys(entries[0]?.details ?? {}), what).not.toContain("after");
}

describe("the audit log", () => {
  it("is declared by every route that may change something, or the route says why there is nothing to tell", () => {
    expect(toChanging().length).toBeGreaterThan(30);
    for (const { name, audit } of toChanging()) {
      const isDeclared = Array.isArray(audit) ? audit.length > 0 : (audit as { none?: string } | undefined)?.none;
      expect(isDeclared, `${name} declares no audited action`).toBeTruthy();
    }
    expect(Object.keys(drives).toSorted()).toEqual(
      toChanging()
        .map(({ name }) => name)
        .toSorted(),
    );
    for (const { name, path } of toChanging())
      if (path.includes("{")) expect(drives[name]?.refusal, `${name} names something`).not.toBeNull();
  });

  describe.each(Object.keys(drives))("after %s", (name) => {
    it.skipIf(missingTpm !== null && needsTpm.includes(name))(
      `tells who changed what, what it was and is, why, and from where${needsTpm.includes(name) ? ` (needs a TPM: ${missingTpm ?? "there is one"})` : ""}`,
      async () => {
        const route = routeOf(name);
        const from = addressOf(route, 1);
        const last = await readLastIndex();
        const told = await drives[name]?.change(world, from);
        if (told === undefined) throw new Error(name);
        const where = told.from ?? new RegExp(`^${from.replaceAll(".", "\\.")}$`, "u");
        const entries = (await readSince(last)).filter(({ details }) => where.test(String(details["from"])));
        const declared = Array.isArray(route.audit) ? (route.audit as readonly string[]) : [];
        const actor = told.actor === "admin" ? actors.admin : told.actor;
        expect(entries.map(({ action }) => action).filter((action) => !declared.includes(action))).toEqual([]);
        expect(entries.length > 0, `${name}: ${JSON.stringify(entries)}`).toBe(declared.length > 0);
        for (const entry of entries) {
          seen.add(entry.action);
          expect(entry.actor.startsWith(actor), `${name}: ${entry.actor}`).toBe(true);
          expect(entry.subject).not.toBe("");
          expect(entry.reason).not.toBe("");
          expect(Object.keys(entry.details)).toEqual(expect.arrayContaining(["after", "before", "from"]));
          expect(entry.details["after"], name).not.toEqual(entry.details["before"]);
        }
      },
      60_000,
    );

    it("tells of a request that is malformed", async () => {
      const route = routeOf(name);
      const { call, actor } = toCaller(route, "admin");
      const refusal = drives[name]?.refusal;
      const path = toPath(route, refusal?.of ?? []) + (route.hasBody ? queryOf(route) : "?nonsense=1");
      const json = route.hasBody ? { nonsense: true } : undefined;
      const code = route.hasBody || route.method === "PUT" ? "validation_failed" : "bad_request";
      await expectRefusal({ ...call, method: route.method, path, json, from: addressOf(route, 2) }, { actor, code });
    });

    it("tells of a caller who may not, and of one who is nobody", async () => {
      const route = routeOf(name);
      if (route.permission === "public") return;
      const call = { method: route.method, path: toPath(route, drives[name]?.refusal?.of ?? []) };
      const nobody = { ...call, from: addressOf(route, 3) };
      await expectRefusal(nobody, { actor: "anonymous", code: "unauthenticated" });
      // Everybody who is known may begin and end a session of their own.
      if (route.permission === "read") return;
      const viewer = { ...call, token: tokens.viewer, from: addressOf(route, 4) };
      await expectRefusal(viewer, { actor: actors.viewer, code: "forbidden" });
    });

    it("tells of what is refused for what it names", async () => {
      const route = routeOf(name);
      const refusal = drives[name]?.refusal;
      if (refusal === null || refusal === undefined) return;
      const { of = [], code, ...more } = refusal;
      const { call, actor } = toCaller(route, "second");
      const path = toPath(route, of) + queryOf(route);
      const asked = { ...call, ...more, method: route.method, path, from: addressOf(route, 5) };
      await expectRefusal(asked, { actor, code });
    });
  });

  it("has seen every declared action, or says where it is seen", () => {
    const declared = toChanging().flatMap(({ audit }) => (Array.isArray(audit) ? (audit as readonly string[]) : []));
    const unseen = [...new Set(declared)].filter((action) => !seen.has(action) && !(action in seenElsewhere));
    expect(unseen).toEqual([]);
    for (const [action, file] of Object.entries(seenElsewhere))
      expect(readFileSync(new URL(file, import.meta.url), "utf8"), file).toContain(`"${action}"`);
  });
});

/** Entries of what was refused, or only seen: nothing was changed, so there is nothing before and after. */
const changesNothing = /\.(?:refuse|refuse-[a-z-]+|lock-out|condense)$|^device\.(?:clock-skew|freshness-[a-z]+)$/u;

describe("the whole log of it", () => {
  it("says in every entry who, what, why and from where, and what changed", async () => {
    const entries = await readSince(-1);
    expect(entries.length).toBeGreaterThan(150);
    for (const { actor, action, subject, reason, details } of entries) {
      const text = JSON.stringify({ actor, action, subject, reason, details });
      expect(
        [actor, subject, reason, details["from"]].every((part) => typeof part === "string" && part !== ""),
        text,
      ).toBe(true);
      expect(action, text).toMatch(/^[a-z-]+\.[a-z-]+$/u);
      expect("before" in details && "after" in details, text).toBe(!changesNothing.test(action));
    }
    const text = JSON.stringify(entries);
    for (const secret of [plane.token, tokens.viewer, tokens.second]) expect(text).not.toContain(secret.slice(4, 40));
  });

  it("A62 is a chain that the command line verifies, and no entry of it is changed or deleted by the database", async () => {
    const verified = await runCliJson<{ verified: boolean; entries: number; head: string }>(
      ["audit", "verify"],
      plane.cliEnv,
    );
    expect(verified).toMatchObject({
      verified: true,
      head: expect.stringMatching(/^\d+:sha256:[0-9a-f]{64}$/u) as string,
    });
    expect(await runWarmCli(["audit", "verify", "--head", verified.head], plane.cliEnv)).toMatchObject({ code: 0 });
    using database = new DatabaseSync(world.databaseFile, { timeout: 10_000 });
    expect(() => database.exec('UPDATE audit SET reason = reason WHERE "index" = 5')).toThrow(/never changed/u);
    expect(() => database.exec('DELETE FROM audit WHERE "index" = 5')).toThrow(/never deleted/u);
  });

  it("A62 shows by command and by API that somebody changed, removed or swapped a row, or cut off the end", async () => {
    using database = new DatabaseSync(world.databaseFile, { timeout: 10_000 });
    database.exec("DROP TRIGGER audit_is_never_changed; DROP TRIGGER audit_is_never_shortened");
    const { head } = await runCliJson<{ head: string }>(["audit", "verify"], plane.cliEnv);
    const at = 40;
    const swap = `UPDATE audit SET "index" = -1 WHERE "index" = ${at};
      UPDATE audit SET "index" = ${at} WHERE "index" = ${at + 1}; UPDATE audit SET "index" = ${at + 1} WHERE "index" = -1`;
    const forgeries: readonly { readonly what: string; readonly forge: string; readonly mend: string }[] = [
      {
        what: "changed",
        forge: `UPDATE audit SET actor = 'admin:somebody else ' || actor WHERE "index" = ${at}`,
        mend: `UPDATE audit SET actor = substr(actor, 21) WHERE "index" = ${at}`,
      },
      {
        what: "removed",
        forge: `CREATE TABLE kept AS SELECT * FROM audit WHERE "index" = ${at}; DELETE FROM audit WHERE "index" = ${at}`,
        mend: "INSERT INTO audit SELECT * FROM kept; DROP TABLE kept",
      },
      { what: "swapped", forge: swap, mend: swap },
    ];
    for (const { what, forge, mend } of forgeries) {
      database.exec(forge);
      const { code, stderr } = await runWarmCli(["audit", "verify"], plane.cliEnv);
      expect({ what, code, stderr }).toEqual({
        what,
        code: 1,
        stderr: expect.stringContaining(`broken at entry ${at}`),
      });
      const answer = await plane.get<{ verified: boolean; entries: number }>("/api/v1/audit/verification");
      expect({ what, ...answer }).toMatchObject({ what, verified: false, entries: at });
      database.exec(mend);
      expect(await runWarmCli(["audit", "verify", "--head", head], plane.cliEnv), what).toMatchObject({ code: 0 });
    }
    // The plane may write the next entry in its place at once: then it is another one than was kept.
    database.exec('DELETE FROM audit WHERE "index" = (SELECT max("index") FROM audit)');
    expect(await runWarmCli(["audit", "verify", "--head", head], plane.cliEnv)).toMatchObject({
      ...{ code: 1, stderr: expect.stringMatching(/shortened|kept as its head/u) as string },
    });
  });
});
