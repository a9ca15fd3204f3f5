import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { silentLogger, type Logger } from "@fairlead/kernel";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ServingAddress } from "../serve/ipc.ts";
import { FolderJob, type FolderJobOptions } from "./folder-job.ts";
import { FakeEndpoint, noEnds } from "./testing/fake-endpoint.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "folder-job-"));
  mkdirSync(join(folder, "in"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const put = (files: Readonly<Record<string, string>>) => {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, "in", name), text);
};
const list = (part: string) => readdirSync(join(folder, part)).toSorted();
const until = (check: () => void) => vi.waitFor(check, { timeout: 4_000, interval: 10 });
const answered = { status: 200, body: "{}" };

/** Waits are not waited for: the draw is zero. */
function toJob(address: () => ServingAddress | null, parts: Partial<FolderJobOptions> = {}): FolderJob {
  const asked = { model: "m", slot: null, serves: () => null };
  return new FolderJob({
    ...{ name: "j", ...asked, folder, parallel: 1, address, ends: noEnds, random: () => 0, logger: silentLogger },
    ...parts,
  });
}

describe("a batch job over a folder", () => {
  it.each([1, 2])(
    "gives up the file that breaks every ask, and answers all behind it (%i at once)",
    async (parallel) => {
      await using endpoint = new FakeEndpoint((body) => (body === "evil" ? "break" : answered));
      const at = await endpoint.listen();
      put({ "a.bin": "evil", "b.bin": "good", "c.bin": "fine" });
      const job = toJob(() => at, { parallel });
      await job.start();
      await until(() => expect(list("failed")).toEqual(["a.bin", "a.bin.reason.txt"]));
      await until(() => expect(list("out")).toEqual(["b.bin.json", "c.bin.json"]));
      await job.stop();
      expect(list("in")).toEqual([]);
      expect(endpoint.count("evil")).toBe(3);
      expect(readFileSync(join(folder, "failed", "a.bin.reason.txt"), "utf8")).toContain("given up after 3 attempts");
    },
  );

  it("gives up a file whose runs end at their deadline, too", async () => {
    await using endpoint = new FakeEndpoint((body) => (body === "slow" ? { status: 504, body: "late" } : answered));
    const at = await endpoint.listen();
    put({ "a.bin": "slow", "b.bin": "good" });
    const job = toJob(() => at);
    await job.start();
    await until(() => expect([list("failed").length, list("out")]).toEqual([2, ["b.bin.json"]]));
    await job.stop();
    expect(endpoint.count("slow")).toBe(3);
  });

  it("counts on where it was when the agent starts again, and anew for another file of that name", async () => {
    let stopAt = Number.POSITIVE_INFINITY;
    const isReached = Promise.withResolvers<void>();
    let isUp = true;
    await using endpoint = new FakeEndpoint((body) => {
      if (body !== "evil") return answered;
      if (endpoint.count("evil") >= stopAt) {
        isUp = false;
        isReached.resolve();
      }
      return "break";
    });
    const at = await endpoint.listen();
    stopAt = 2;
    put({ "a.bin": "evil" });
    const first = toJob(() => (isUp ? at : null));
    await first.start();
    await isReached.promise;
    await until(() => expect(readFileSync(join(folder, ".attempts.json"), "utf8")).toContain('"breaks":2'));
    await first.stop();
    [isUp, stopAt] = [true, Number.POSITIVE_INFINITY];
    const second = toJob(() => at);
    await second.start();
    await until(() => expect(list("failed")).toHaveLength(2));
    expect(endpoint.count("evil")).toBe(3);
    put({ "a.bin": "good" });
    await until(() => expect(list("out")).toEqual(["a.bin.json"]));
    await second.stop();
  });

  it("waits for a process that is not there, and through any number of 503, and loses nothing", async () => {
    let refusals = 0;
    await using endpoint = new FakeEndpoint((body) => {
      if (body !== "busy" || refusals >= 20) return answered;
      refusals += 1;
      return { status: 503, body: "overloaded" };
    });
    const at = await endpoint.listen();
    put({ "a.bin": "busy", "b.bin": "good" });
    let looks = 0;
    const job = toJob(() => ((looks += 1) > 20 ? at : null));
    await job.start();
    await until(() => expect(list("out")).toEqual(["a.bin.json", "b.bin.json"]));
    await job.stop();
    expect([refusals, list("failed")]).toEqual([20, []]);
  });

  it("asks what its slot serves at the moment, by version", async () => {
    await using endpoint = new FakeEndpoint(() => answered);
    const at = await endpoint.listen();
    let served: { model: string; version: string } | null = null;
    let looks = 0;
    const serves = (slot: string) => {
      expect(slot).toBe("reader");
      looks += 1;
      return served;
    };
    put({ "a.bin": "good" });
    const job = toJob(() => at, { model: null, slot: "reader", serves });
    await job.start();
    await until(() => expect(looks).toBeGreaterThan(2));
    expect(list("in")).toEqual(["a.bin"]);
    served = { model: "digits", version: "2.0.0" };
    await until(() => expect(list("out")).toEqual(["a.bin.json"]));
    await job.stop();
    expect(endpoint.asked.map(({ path }) => path)).toEqual(["/v2/models/digits/versions/2.0.0/infer"]);
  });

  it("asks about a file that took the place of another while that one was asked", async () => {
    const replace = (text: string) => {
      writeFileSync(join(folder, "in", "a.bin.part"), text);
      renameSync(join(folder, "in", "a.bin.part"), join(folder, "in", "a.bin"));
    };
    await using endpoint = new FakeEndpoint((body) => {
      if (body === "old1") replace("new2");
      return { status: 200, body: JSON.stringify({ of: body }) };
    });
    const at = await endpoint.listen();
    replace("old1");
    const job = toJob(() => at);
    await job.start();
    await until(() => expect(endpoint.count("new2")).toBe(1));
    await until(() => expect(readFileSync(join(folder, "out", "a.bin.json"), "utf8")).toBe('{"of":"new2"}'));
    await job.stop();
    expect([list("in"), list("out")]).toEqual([[], ["a.bin.json"]]);
  });

  it("asks about a file whose name has an answer that nobody took, however old its time is", async () => {
    await using endpoint = new FakeEndpoint((body) => ({ status: 200, body: JSON.stringify({ of: body }) }));
    const at = await endpoint.listen();
    const job = toJob(() => at);
    await job.start();
    put({ "a.bin": "old1" });
    await until(() => expect(list("out")).toEqual(["a.bin.json"]));
    writeFileSync(join(folder, "in", "a.bin.part"), "new2");
    utimesSync(join(folder, "in", "a.bin.part"), 1, 1);
    renameSync(join(folder, "in", "a.bin.part"), join(folder, "in", "a.bin"));
    await until(() => expect(readFileSync(join(folder, "out", "a.bin.json"), "utf8")).toBe('{"of":"new2"}'));
    await job.stop();
    expect(list("in")).toEqual([]);
  });

  it("puts no file aside that took the place of one that can never be answered", async () => {
    await using endpoint = new FakeEndpoint((body) => {
      if (body !== "evil") return answered;
      rmSync(join(folder, "in", "a.bin"));
      put({ "a.bin": "good" });
      return { status: 400, body: "bad" };
    });
    const at = await endpoint.listen();
    put({ "a.bin": "evil" });
    const job = toJob(() => at);
    await job.start();
    await until(() => expect(list("out")).toEqual(["a.bin.json"]));
    await job.stop();
    expect(list("failed")).toEqual([]);
  });

  it("puts a file aside whose name is no UTF-8, and rests where one stays", async () => {
    await using endpoint = new FakeEndpoint(() => answered);
    const at = await endpoint.listen();
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/in/caf`), Buffer.of(0xe9), Buffer.from(".bin")]), "good");
    const name = Buffer.concat([Buffer.from("/st"), Buffer.of(0xe9)]);
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/in`), name]), "good");
    // A folder of that name keeps the file where it is.
    mkdirSync(Buffer.concat([Buffer.from(`${folder}/failed`), name]), { recursive: true });
    let looks = 0;
    const warn = vi.fn<Logger["warn"]>();
    const job = toJob(() => ((looks += 1), at), { logger: { ...silentLogger, warn } });
    await job.start();
    await until(() => expect(list("failed")).toContain("café.bin.reason.txt"));
    put({ "z.bin": "good" });
    await until(() => expect(list("out")).toEqual(["z.bin.json"]));
    await delay(700);
    await job.stop();
    expect(list("in")).toEqual(["st\ufffd"]);
    expect(looks).toBeLessThan(5);
    expect(warn).toHaveBeenCalledTimes(2);
    for (const file of ["café.bin", "sté"])
      expect(warn).toHaveBeenCalledWith("a file of a batch failed", expect.objectContaining({ file }));
  });
});
