import { once } from "node:events";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, describe, expect, it } from "vitest";
import { takeTpmTurn } from "./tpm-turn.ts";

const folder = mkdtempSync(join(tmpdir(), "fairlead-turn-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a turn with the TPM", () => {
  it("is one conversation's at a time, and the next one's when it ends", async () => {
    const order: string[] = [];
    const first = await takeTpmTurn(folder, 5_000);
    const second = takeTpmTurn(folder, 5_000).then((turn) => {
      order.push("second");
      turn[Symbol.dispose]();
    });
    order.push("first ends");
    first[Symbol.dispose]();
    await second;
    expect(order).toEqual(["first ends", "second"]);
    expect(statSync(join(folder, "tpm.lock")).mode & 0o777).toBe(0o600);
  });

  it("is given up with a reason when the conversation before does not end", async () => {
    using _held = await takeTpmTurn(folder, 5_000);
    await expect(takeTpmTurn(folder, 60)).rejects.toMatchObject({ code: "tpm_unavailable" });
  });

  it("is free again when its holder dies without a word", async () => {
    const code = `const { DatabaseSync } = require("node:sqlite"); const { parentPort, workerData } = require("node:worker_threads");
      const held = new DatabaseSync(workerData); held.exec("BEGIN EXCLUSIVE"); parentPort.postMessage("held"); setInterval(() => held, 1000);`;
    const holder = new Worker(code, { eval: true, workerData: join(folder, "tpm.lock") });
    await once(holder, "message");
    await expect(takeTpmTurn(folder, 0)).rejects.toMatchObject({ code: "tpm_unavailable" });
    await holder.terminate();
    using turn = await takeTpmTurn(folder, 5_000);
    expect(turn).toBeDefined();
  });
});
