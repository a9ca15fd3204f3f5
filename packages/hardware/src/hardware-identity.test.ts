import { describe, expect, it } from "vitest";
import { readHardwareIdentity } from "./hardware-identity.ts";
import { createFakeRoot } from "./testing/fake-root.ts";

const toCpu = (mhz: string, flags: string) =>
  [0, 1].map((at) => `processor : ${at}\nmodel name : Core\ncpu MHz : ${mhz}\nflags : ${flags}\n`).join("\n");

describe("what a machine is", () => {
  it("stays the same while clock rates change, and differs with flags, drivers and accelerators", async () => {
    await using root = await createFakeRoot({ "proc/cpuinfo": toCpu("800.1", "avx2") });
    const before = await readHardwareIdentity(root.path);
    expect(before["processorCount"]).toBe("2");
    await root.put({ "proc/cpuinfo": toCpu("3100.7", "avx2") });
    expect(await readHardwareIdentity(root.path)).toEqual(before);
    for (const change of [
      { "proc/cpuinfo": toCpu("800.1", "avx2 avx512f") },
      { "proc/driver/nvidia/version": "NVRM version: 570.1" },
      { "sys/class/accel/accel0/device/device": "0x7d1d" },
    ]) {
      await root.put(change);
      expect(await readHardwareIdentity(root.path)).not.toEqual(before);
      await root.put({ ...Object.fromEntries(Object.keys(change).map((name) => [name, undefined])) });
      await root.put({ "proc/cpuinfo": toCpu("800.1", "avx2") });
    }
  });

  it("is empty where nothing can be read", async () => {
    await using root = await createFakeRoot();
    expect(await readHardwareIdentity(root.path)).toEqual({});
  });
});
