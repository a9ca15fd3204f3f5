import { sealAuditEntry } from "@fairlead/integrity";
import type { AuditEntry } from "@fairlead/protocol";
import { expect, it } from "vitest";
import { verifyAudit } from "./verify-chain.ts";

function makeChain(length: number): AuditEntry[] {
  const chain: AuditEntry[] = [];
  for (let index = 0; index < length; index += 1) {
    const statement = { tsMs: 1_700_000_000_000 + index, actor: "admin:a", action: "x", subject: "s", reason: "r" };
    chain.push(sealAuditEntry(chain.at(-1) ?? null, { ...statement, details: { value: index / 3 } }));
  }
  return chain;
}

it("accepts an intact log in any order", () => {
  const chain = makeChain(5);
  expect(verifyAudit(chain.toReversed())).toEqual({ kind: "intact", head: { index: 4, hash: chain[4]?.hash } });
  expect(verifyAudit([])).toEqual({ kind: "intact", head: null });
});

it("finds a changed entry, a removed one and a missing beginning", () => {
  const changed = makeChain(5).map((entry) => (entry.index === 2 ? { ...entry, actor: "admin:b" } : entry));
  expect(verifyAudit(changed)).toMatchObject({ kind: "broken", index: 2 });
  expect(verifyAudit(makeChain(5).filter((entry) => entry.index !== 2))).toMatchObject({ kind: "broken", index: 2 });
  expect(verifyAudit(makeChain(5).slice(1))).toMatchObject({ kind: "broken", index: 0 });
});
