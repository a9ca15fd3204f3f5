import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditEntry, RolloutStatus } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { callPlane, type PlaneAnswer } from "../support/call-plane.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";
import { seedFleet } from "../support/seed-fleet.ts";

const dir = mkdtempSync(join(tmpdir(), "races-"));
const free = new TestPlane({ dir: join(dir, "free") });
const careful = new TestPlane({ dir: join(dir, "careful"), args: ["--four-eyes"] });

const path = "/api/v1/rollouts";
/** Two stages of one device each; both devices are offline, so nothing passes by itself. */
const spec = (slot: string) => ({
  ...{ slot, model: "digit-reader", version: "1.0.0", selector: "site in (berlin,munich)" },
  stages: ["berlin", "munich"].map((site) => ({ name: site, target: { kind: "selector", selector: `site=${site}` } })),
});
const act = (plane: TestPlane, id: string, request: { readonly json: object; readonly token?: string }) =>
  callPlane(plane, { method: "POST", path: `${path}/${id}/actions`, token: plane.token, ...request });
/** Status, and the code of a refusal. */
const codes = (answers: readonly PlaneAnswer[]) =>
  answers.map(({ status, body }) => (status < 400 ? String(status) : `${status} ${String(body["code"])}`));

async function create(plane: TestPlane, slot: string, token = plane.token): Promise<string> {
  const { status, body } = await callPlane(plane, { method: "POST", path, token, json: spec(slot) });
  expect(status, JSON.stringify(body)).toBe(201);
  return String(body["rolloutId"]);
}
const stageIs = (plane: TestPlane, id: string, stage: { readonly name: string; readonly state: string }) =>
  eventually(`stage ${stage.name} is ${stage.state}`, async () => {
    const { stages } = await plane.rollout(id);
    return stages.some(({ name, state }) => name === stage.name && state === stage.state);
  });
const stateOf = async (plane: TestPlane, id: string): Promise<RolloutStatus["state"]> =>
  (await plane.rollout(id)).state;

beforeAll(async () => {
  for (const plane of [free, careful]) {
    mkdirSync(join(plane.dir, "data"), { recursive: true });
    await seedFleet(join(plane.dir, "data"), ["berlin", "munich"]);
    await plane.start();
    await publishDigitReader(plane, "1.0.0");
  }
}, 120_000);
afterAll(async () => {
  await free[Symbol.asyncDispose]();
  await careful[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

describe("A63 at the same moment", () => {
  it("ten promotions of one stage pass it once, and not the next one", async () => {
    const id = await create(free, "promoted");
    await stageIs(free, id, { name: "berlin", state: "running" });
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => act(free, id, { json: { action: "promote", stage: "berlin" } })),
    );
    expect(codes(answers).toSorted()).toEqual(["200", ...Array<string>(9).fill("409 transition_refused")]);
    await stageIs(free, id, { name: "munich", state: "running" });
    const late = await act(free, id, { json: { action: "promote", stage: "berlin" } });
    expect(codes([late])).toEqual(["409 transition_refused"]);
    expect((await free.rollout(id)).stages.map(({ state }) => state)).toEqual(["passed", "running"]);

    const { items } = await free.get<{ items: AuditEntry[] }>("/api/v1/audit?limit=100");
    const told = items.filter(({ action, subject }) => action === "rollout.promote" && subject.endsWith(id));
    expect(told).toEqual([
      expect.objectContaining({
        actor: expect.stringMatching(/^admin:/u) as string,
        details: expect.objectContaining({ stage: "berlin", from: expect.stringMatching(/./u) as string }) as object,
      }),
    ]);
    expect(told[0]?.details["after"]).not.toEqual(told[0]?.details["before"]);
  });

  it("a promotion that does not say which stage it saw passes none", async () => {
    const id = await create(free, "unnamed");
    await stageIs(free, id, { name: "berlin", state: "running" });
    expect(codes([await act(free, id, { json: { action: "promote" } })])).toEqual(["409 transition_refused"]);
  });

  it("ten aborts end a rollout once", async () => {
    const id = await create(free, "aborted");
    await stageIs(free, id, { name: "berlin", state: "running" });
    const answers = await Promise.all(Array.from({ length: 10 }, () => act(free, id, { json: { action: "abort" } })));
    expect(codes(answers).toSorted()).toEqual(["200", ...Array<string>(9).fill("409 transition_refused")]);
  });

  it("an abort that meets the end of its rollout either wins whole or is refused", async () => {
    const ends = new Set<string>();
    for (let turn = 0; turn < 4; turn += 1) {
      const id = await create(free, `finishing-${turn}`);
      await stageIs(free, id, { name: "berlin", state: "running" });
      await act(free, id, { json: { action: "promote", stage: "berlin" } });
      await stageIs(free, id, { name: "munich", state: "running" });
      const finish = () => act(free, id, { json: { action: "promote", stage: "munich" } });
      const abort = () => act(free, id, { json: { action: "abort" } });
      // Both orders; in the middle the controller finishes what was promoted.
      const [first, second] = turn % 2 === 0 ? [finish, abort] : [abort, finish];
      const answers = await Promise.all([first(), second()]);
      const aborted = turn % 2 === 0 ? answers[1] : answers[0];
      const state = await eventually("the rollout has an end", async () => {
        const now = await stateOf(free, id);
        return now === "running" || now === "paused" ? undefined : now;
      });
      expect([200, 409]).toContain(aborted?.status);
      expect(state === "succeeded", `${turn}: ${codes(answers).join(", ")} ${state}`).toBe(aborted?.status === 409);
      ends.add(state);
    }
    expect(ends.size).toBeGreaterThan(0);
  });

  it("two changes that saw the same state are one change, and the other one is told", async () => {
    const { labels } = await free.device("berlin-1");
    const seen = await callPlane(free, { method: "GET", path: "/api/v1/devices/berlin-1", token: free.token });
    const headers = { "if-match": String(seen.headers["etag"]) };
    const change = (by: string) =>
      callPlane(free, {
        method: "PATCH",
        path: "/api/v1/devices/berlin-1",
        token: free.token,
        headers,
        json: { labels: { ...labels, by } },
      });
    expect(codes(await Promise.all([change("a"), change("b")])).toSorted()).toEqual(["200", "412 precondition_failed"]);
  });
});

describe("A63 where a rollout needs four eyes", () => {
  let people = 0;
  const tokenOf = async (person: string) =>
    String((await careful.post("/api/v1/tokens", { role: "admin", person }))["token"]);
  /** A token of somebody who has no other one. */
  const person = () => tokenOf(`person-${(people += 1)}`);

  it("nobody approves or promotes what they created themselves, by their token or by its session", async () => {
    const own = await person();
    const id = await create(careful, "own", own);
    expect(await stateOf(careful, id)).toBe("pending_approval");
    const json = { action: "promote" };
    expect(codes([await act(careful, id, { json, token: own })])).toEqual(["403 forbidden"]);
    const session = await callPlane(careful, { method: "POST", path: "/api/v1/session", token: own });
    const cookie = String(session.headers["set-cookie"]).split(";")[0] ?? "";
    const headers = { cookie, origin: careful.url, "x-csrf-token": String(session.body["csrfToken"]) };
    const again = await callPlane(careful, { method: "POST", path: `${path}/${id}/actions`, headers, json });
    expect(codes([again])).toEqual(["403 forbidden"]);
    expect(await stateOf(careful, id)).toBe("pending_approval");
    const { slots } = await careful.device("berlin-1");
    expect(slots).toEqual([]);
    // What makes less happen needs one person.
    expect(codes([await act(careful, id, { json: { action: "abort" }, token: own })])).toEqual(["200"]);
  });

  it("two tokens of one person are one person: however they were made, spelled, and whatever their roles", async () => {
    const made = async (token: string, json: object) =>
      String((await callPlane(careful, { method: "POST", path: "/api/v1/tokens", token, json })).body["token"]);
    const ada = await tokenOf("ada");
    const id = await create(careful, "twice", ada);
    const others = [
      await tokenOf("ada"),
      await tokenOf("Ada"),
      // What she makes without a word of whose it is, is hers, and so is what is made with that.
      await made(ada, { role: "approver" }),
      await made(await made(ada, { role: "admin" }), { role: "approver" }),
    ];
    for (const token of others)
      expect(codes([await act(careful, id, { json: { action: "promote" }, token })])).toEqual(["403 forbidden"]);
    expect(await stateOf(careful, id)).toBe("pending_approval");
    const { items } = await careful.get<{ items: AuditEntry[] }>("/api/v1/audit?limit=1000");
    expect(items.filter(({ action, subject }) => action === "request.refuse" && subject.includes(id))).toHaveLength(4);
    const bob = await tokenOf("bob");
    expect(codes([await act(careful, id, { json: { action: "promote" }, token: bob })])).toEqual(["200"]);
  });

  it("whoever owns the machine is one person with every token that names nobody", async () => {
    const id = await create(careful, "owned");
    const unnamed = String((await careful.post("/api/v1/tokens", { role: "approver" }))["token"]);
    expect(codes([await act(careful, id, { json: { action: "promote" }, token: unnamed })])).toEqual(["403 forbidden"]);
    const blank = await careful.post("/api/v1/tokens", { role: "approver", person: "ada " });
    expect([blank.status, blank["code"]]).toEqual([422, "validation_failed"]);
  });

  it("another one approves it, once, and it begins", async () => {
    const [own, second, third] = [await person(), await person(), await person()];
    const id = await create(careful, "other", own);
    const approve = (token: string) => act(careful, id, { json: { action: "promote" }, token });
    const answers = await Promise.all([second, third, second, third].map(approve));
    expect(codes(answers).toSorted()).toEqual(["200", ...Array<string>(3).fill("409 transition_refused")]);
    await stageIs(careful, id, { name: "berlin", state: "running" });
    const json = { action: "promote", stage: "berlin" };
    expect(codes([await act(careful, id, { json, token: own })])).toEqual(["403 forbidden"]);
    expect(codes([await act(careful, id, { json, token: third })])).toEqual(["200"]);
  });

  it("of two that wait for the same slot only one can be approved", async () => {
    const own = await person();
    const ids = [await create(careful, "same", own), await create(careful, "same", own)];
    const answers = await Promise.all(ids.map((id) => act(careful, id, { json: { action: "promote" } })));
    expect(codes(answers).toSorted()).toEqual(["200", "409 rollout_in_progress"]);
  });
});
