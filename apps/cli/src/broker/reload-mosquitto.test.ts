import { describe, expect, it } from "vitest";
import { reloadMosquitto } from "./reload-mosquitto.ts";

function reload(files: Readonly<Record<string, string>>, kill = (_pid: number, _signal: string): void => undefined) {
  const told: unknown[] = [];
  const readFile = (path: string): string => {
    const text = files[path];
    if (text === undefined) throw new Error(`ENOENT: ${path}`);
    return text;
  };
  const run = () =>
    reloadMosquitto("/run/m.pid", {
      readFile,
      kill: (pid, signal) => {
        kill(pid, signal);
        told.push([pid, signal]);
      },
    });
  return { run, told };
}

describe("telling mosquitto to read its files again", () => {
  it("hangs up on the process of the file, when that is mosquitto", () => {
    const { run, told } = reload({ "/run/m.pid": "4711\n", "/proc/4711/comm": "mosquitto\n" });
    run();
    expect(told).toEqual([[4_711, "SIGHUP"]]);
  });

  it.each([
    ["another process", { "/run/m.pid": "4711\n", "/proc/4711/comm": "postgres\n" }, /is postgres, not mosquitto/u],
    ["a process that is gone", { "/run/m.pid": "4711\n" }, /no process that \/run\/m\.pid names/u],
    ["no number", { "/run/m.pid": "-1\n" }, /holds no process number/u],
    ["a path in place of a number", { "/run/m.pid": "1/../4711" }, /holds no process number/u],
    ["no file", {}, /no process that \/run\/m\.pid names/u],
  ])("signals nobody for %s, and says which file it was", (_what, files, reason) => {
    const { run, told } = reload(files);
    expect(run).toThrow(reason);
    expect(told).toEqual([]);
  });

  it("says so when it may not signal it", () => {
    const { run } = reload({ "/run/m.pid": "4711", "/proc/4711/comm": "mosquitto" }, () => {
      throw new Error("EPERM");
    });
    expect(run).toThrow(expect.objectContaining({ code: "file_unreadable" }));
  });
});
