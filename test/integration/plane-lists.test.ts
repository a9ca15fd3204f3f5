import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sealAuditEntry } from "@fairlead/integrity";
import { toId, type Alert, type Remediation, type RolloutHistoryEntry } from "@fairlead/protocol";
import { openStore, type Transaction } from "@fairlead/store";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runCliJson } from "../support/cli.ts";
import { TestPlane } from "../support/plane.ts";
import { seedFleet } from "../support/seed-fleet.ts";

const dir = mkdtempSync(join(tmpdir(), "fairlead-lists-"));
const plane = new TestPlane({ dir: join(dir, "plane") });
/** More than one page of the greatest size, and of two. */
const decisions = 2_100;
const cases = 1_050;
const rollouts: string[] = [];
let rollout = "";

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const toSeedId = (prefix: string, index: number) =>
  toId(prefix, 1_791_000_000_000 + index, new Uint8Array(16).fill(index % 251));

/** One entry, sealed as the plane seals it. */
async function append(tx: Transaction, entry: { action: string; subject: string; reason: string; tsMs: number }) {
  const statement = { ...entry, actor: "plane:rollouts", details: { from: "plane" } };
  await tx.audit.add(sealAuditEntry((await tx.audit.getLast()) ?? null, statement));
}

/** What a plane of some years holds, written as the plane writes it, before the plane starts. */
beforeAll(async () => {
  const folder = join(plane.dir, "data");
  mkdirSync(folder, { recursive: true });
  const seeded = await seedFleet(folder, ["berlin", "paris", "rome"]);
  rollouts.push(...seeded.map((site) => site.rollout));
  rollout = rollouts[0] ?? "";
  const nowMs = 1_791_000_000_000;
  const store = openStore({ folder, nowMs });
  try {
    await store.transaction(async (tx) => {
      for (const index of range(decisions))
        await append(tx, {
          ...{ action: "rollout.record-verdicts", reason: `decision ${index}`, tsMs: nowMs + index },
          subject: `rollout:${index % 2 === 0 ? rollout : rollouts[1]}`,
        });
      for (const index of range(decisions))
        await append(tx, {
          ...{ action: "rollout.hold", reason: `decision ${decisions + index}`, tsMs: nowMs + decisions + index },
          subject: `rollout:${rollout}`,
        });
    });
    await store.transaction(async (tx) => {
      for (const index of range(cases)) {
        const remediationId = toSeedId("rem", index);
        const device = "berlin-1";
        await tx.remediations.save({
          ...{ remediationId, device, open: false, updatedAtMs: nowMs },
          caseData: {
            ...{ remediationId, device, rule: "seed", symptom: "device-silent", evidence: {} },
            ...{ state: "resolved", code: "seed", reason: "seed", detectedAtMs: nowMs, updatedAtMs: nowMs },
            ...{ endedAtMs: nowMs, actions: [], attempt: 0, attemptAtMs: null, verifyingSinceMs: null },
            ...{ quarantine: "none", alert: "none" },
          },
        });
        await tx.alerts.add({
          ...{ alertId: toSeedId("alr", index), remediationId, device, kind: "seed", state: "resolved" },
          ...{ summary: `alert ${index}`, firedAtMs: nowMs, resolvedAtMs: nowMs },
        });
      }
    });
  } finally {
    await store.close();
  }
  await plane.start();
}, 120_000);
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

interface Page {
  readonly items: Record<string, unknown>[];
  readonly nextCursor: string | null;
}

/** Every page of a list, with what each of them holds. */
async function readPages(path: string, limit: number): Promise<Page[]> {
  const pages: Page[] = [];
  let cursor: string | null = "";
  while (cursor !== null) {
    const page: Page = await plane.get(`${path}?limit=${limit}${cursor === "" ? "" : `&cursor=${cursor}`}`);
    pages.push(page);
    cursor = page.nextCursor;
  }
  return pages;
}

const toKeys = (pages: readonly Page[], key: string) => pages.flatMap(({ items }) => items.map((item) => item[key]));

it("gives the whole history of a rollout, oldest first, page by page and on the command line", async () => {
  const pages = await readPages(`/api/v1/rollouts/${rollout}/history`, 1_000);
  expect(pages.map(({ items }) => items.length)).toEqual([1_000, 1_000, 1_000, 150]);
  const wanted = [
    ...range(decisions).filter((index) => index % 2 === 0),
    ...range(decisions).map((index) => decisions + index),
  ].map((index) => `decision ${index}`);
  expect(toKeys(pages, "reason")).toEqual(wanted);
  const told = await runCliJson<RolloutHistoryEntry[]>(["rollouts", "history", rollout], plane.cliEnv);
  expect(told.map(({ reason }) => reason)).toEqual(wanted);
});

it("gives every remediation and every alert, newest first", async () => {
  const remediations = await readPages("/api/v1/remediations", 500);
  expect(remediations.map(({ items }) => items.length)).toEqual([500, 500, cases - 1_000 + 3]);
  const ids = toKeys(remediations, "remediationId");
  expect(ids.slice(0, cases)).toEqual(range(cases).map((index) => toSeedId("rem", cases - 1 - index)));
  const alerts = await readPages("/api/v1/alerts", 1_000);
  expect(toKeys(alerts, "summary").slice(0, cases)).toEqual(range(cases).map((index) => `alert ${cases - 1 - index}`));
  const told = await runCliJson<Remediation[]>(["remediations", "list"], plane.cliEnv);
  expect(told.map(({ remediationId }) => remediationId)).toEqual(ids);
  expect(await runCliJson<Alert[]>(["alerts", "list"], plane.cliEnv)).toHaveLength(cases + 3);
});

it("gives every rollout once, whatever the size of a page", async () => {
  for (const limit of [1, 2, 3, 100]) {
    const ids = toKeys(await readPages("/api/v1/rollouts", limit), "rolloutId");
    expect(ids).toEqual(rollouts.toSorted().toReversed());
  }
});

it("refuses a cursor that it did not make", async () => {
  for (const path of ["rollouts", `rollouts/${rollout}/history`, "remediations", "alerts"])
    await expect(plane.get(`/api/v1/${path}?cursor=%2e%2e`)).rejects.toThrow(/40[0-9].*cursor/u);
});
