import type { AuditEntry } from "@fairlead/protocol";
import { expect, it } from "vitest";
import { toEntryHash, verifyChain } from "./verify-chain.ts";

function makeChain(length: number): AuditEntry[] {
  const chain: AuditEntry[] = [];
  for (let index = 0; index < length; index += 1) {
    const draft: AuditEntry = {
      ...{ index, tsMs: 1_700_000_000_000 + index, actor: "admin:a", action: "x", subject: "s", reason: "r" },
      ...{ details: { value: index / 3 }, previous: chain.at(-1)?.hash ?? "", hash: "" },
    };
    chain.push({ ...draft, hash: toEntryHash(draft) });
  }
  return chain;
}

it("accepts an intact chain in any order", () => {
  expect(verifyChain(makeChain(5).toReversed())).toMatchObject({ kind: "intact", entries: 5 });
  expect(verifyChain([])).toMatchObject({ kind: "intact", head: null });
});

it("finds a changed entry", () => {
  const chain = makeChain(5).map((entry) => (entry.index === 2 ? { ...entry, actor: "admin:b" } : entry));
  expect(verifyChain(chain)).toMatchObject({ kind: "broken", index: 2 });
});

it("finds a removed entry", () => {
  expect(verifyChain(makeChain(5).filter((entry) => entry.index !== 2))).toMatchObject({ kind: "broken", index: 3 });
});

it("finds an entry that was replaced together with its hash", () => {
  const chain = makeChain(5).map((entry) => {
    if (entry.index !== 2) return entry;
    const forged = { ...entry, actor: "admin:b" };
    return { ...forged, hash: toEntryHash(forged) };
  });
  expect(verifyChain(chain)).toMatchObject({ kind: "broken", index: 3 });
});
