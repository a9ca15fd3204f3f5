import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "@fairlead/kernel";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openOutbox } from "../outbox/outbox.ts";
import { openSavedState } from "../saved-state.ts";
import { createRevisionCounter, revisionSchema } from "./counters.ts";
import { keepRevisionInOutbox } from "./revision-in-outbox.ts";

describe("the revisions of a report", () => {
  let folder: string;
  let epochs = 0;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "revision-"));
    epochs = 0;
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const openFile = () =>
    openSavedState({ path: join(folder, "revision.json"), schema: revisionSchema, logger: silentLogger });
  /** One run of an agent that makes so many reports. */
  function report(times: number): number[] {
    const outbox = openOutbox({
      path: join(folder, "outbox.db"),
      clock: { nowMs: () => 1_790_000_000_000, monotonicMs: () => 1 },
      createEpoch: () => `epoch000${(epochs += 1)}`,
      source: "/devices/cam-1",
    });
    try {
      const counter = createRevisionCounter({
        ...{ saved: keepRevisionInOutbox(outbox, openFile()), epoch: outbox.epoch },
        ...{ nowMs: () => 0, logger: silentLogger },
      });
      return Array.from({ length: times }, () => counter.next());
    } finally {
      outbox.close();
    }
  }

  it("never repeat within an epoch, whatever becomes of the state files", () => {
    const last = report(500).at(-1)!;
    for (const name of ["revision.json", "revision.json.previous"]) writeFileSync(join(folder, name), "x");
    expect(report(1)[0]).toBeGreaterThan(last);
  });

  it("begin anew with the epoch", () => {
    report(500);
    writeFileSync(join(folder, "outbox.db"), "no database, and long enough to look like one".repeat(100));
    expect(report(1)).toEqual([1]);
  });

  it("go on after those of an agent that kept them in a file", () => {
    report(0);
    openFile().save({ v: 1, epoch: "epoch0001", reservedUpTo: 512 });
    expect(report(1)).toEqual([513]);
    openFile().save({ v: 1, epoch: "epoch0001", reservedUpTo: 256 });
    expect(report(1)[0]).toBeGreaterThan(513);
  });
});
