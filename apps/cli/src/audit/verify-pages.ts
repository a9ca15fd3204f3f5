import { verifyAuditChain, type AuditHead } from "@fairlead/integrity";
import type { AuditEntry } from "@fairlead/protocol";

export type LogVerdict =
  | { readonly kind: "intact"; readonly entries: number; readonly head: AuditHead | null }
  /** `index`: the first entry, as far as was read, from which on the log cannot be believed. */
  | { readonly kind: "broken"; readonly index: number; readonly reason: string };

interface Broken {
  readonly index: number;
  readonly reason: string;
}

/** What the entry before the oldest one of a page has to be; null before the first. */
function toBefore(oldest: AuditEntry): AuditHead | null {
  return oldest.index === 0 ? null : { index: oldest.index - 1, hash: oldest.previous };
}

/** Whether the page, oldest first, is a chain and ends with what the newer page was built on. */
function checkPage(page: readonly AuditEntry[], follows: AuditHead | null | undefined): Broken | null {
  const [oldest] = page;
  if (oldest === undefined) return null;
  const before = toBefore(oldest);
  const verdict = verifyAuditChain(before, page);
  if (verdict.kind === "broken") return verdict;
  if (follows === undefined) return null;
  if (follows === null) return { index: 0, reason: "there are entries before the first one" };
  const { head } = verdict;
  if (head === null || head.index < follows.index)
    return { index: follows.index, reason: `entry ${follows.index} is missing` };
  if (head.index > follows.index) return { index: head.index, reason: `entry ${head.index} comes twice` };
  const next = follows.index + 1;
  return head.hash === follows.hash ? null : { index: next, reason: `entry ${next} does not continue the one before` };
}

/**
 * Recomputes every hash and link of a log that comes as the plane lists it: in pages, newest first; one page is held at a
 * time. `kept` is a head that was noted earlier: a log that was shortened, or written anew as a whole, no longer has it.
 */
export async function verifyPages(
  pages: AsyncIterable<readonly AuditEntry[]>,
  kept: AuditHead | null,
): Promise<LogVerdict> {
  let head: AuditHead | null = null;
  let follows: AuditHead | null | undefined;
  let broken: Broken | null = null;
  let entries = 0;
  let keptHash: string | null = null;
  for await (const newestFirst of pages) {
    const page = newestFirst.toReversed();
    const [oldest, newest] = [page[0], page.at(-1)];
    if (oldest === undefined || newest === undefined) continue;
    head ??= { index: newest.index, hash: newest.hash };
    entries += page.length;
    // Older pages come later, so the last one found is the first in the log.
    broken = checkPage(page, follows) ?? broken;
    keptHash = page.find(({ index }) => index === kept?.index)?.hash ?? keptHash;
    follows = toBefore(oldest);
  }
  if (follows !== undefined && follows !== null) broken = { index: 0, reason: "the beginning of the log is missing" };
  if (broken !== null) return { kind: "broken", ...broken };
  if (kept !== null && keptHash !== kept.hash)
    return {
      kind: "broken",
      index: kept.index,
      reason:
        keptHash === null
          ? `the log was shortened: entry ${kept.index}, which was kept as its head, is gone`
          : `entry ${kept.index} is not the one that was kept as its head`,
    };
  return { kind: "intact", entries, head };
}
