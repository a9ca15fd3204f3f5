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

  it("differs with the Vulkan driver, its library and the loader, and with the drivers that the environment names", async () => {
    const manifest = "usr/share/vulkan/icd.d/lvp_icd.json";
    const toManifest = (library: string) => JSON.stringify({ ICD: { library_path: library, api_version: "1.3.0" } });
    await using root = await createFakeRoot({
      [manifest]: toManifest("libvulkan_lvp.so"),
      "usr/lib/x86_64-linux-gnu/libvulkan_lvp.so": "mesa 22",
      "usr/lib/x86_64-linux-gnu/libvulkan.so.1": "loader",
      "opt/vk.json": toManifest("./libswift.so"),
      "opt/libswift.so": "swiftshader",
      "opt/bare.json": "no manifest",
    });
    const seen = new Set<string>();
    const look = async (driverFiles?: string) => {
      const identity = await readHardwareIdentity(root.path, driverFiles);
      expect(JSON.stringify(identity)).not.toContain(root.path);
      seen.add(JSON.stringify(identity));
      return identity;
    };
    const first = await look();
    expect(Object.keys(first)).toEqual(["vulkan.loader", `vulkan./${manifest}`]);
    expect(first[`vulkan./${manifest}`]).toMatch(/^[0-9a-f]{64} libvulkan_lvp\.so 7 \d+$/u);
    expect(await look()).toEqual(first);
    await root.put({ "usr/lib/x86_64-linux-gnu/libvulkan_lvp.so": "mesa 22.3" });
    await look();
    await root.put({ "usr/lib/x86_64-linux-gnu/libvulkan.so.1": "another loader" });
    await look();
    await root.put({ [manifest]: toManifest("/nowhere/libvulkan_lvp.so") });
    expect((await look())[`vulkan./${manifest}`]).toMatch(/library not found$/u);
    const named = await look("/opt/vk.json:/opt/bare.json");
    expect(named["vulkan./opt/vk.json"]).toMatch(/ libswift\.so 11 \d+$/u);
    expect(named["vulkan./opt/bare.json"]).toMatch(/library not found$/u);
    expect(named).not.toHaveProperty(`vulkan./${manifest}`);
    expect(seen.size).toBe(5);
  });

  it("is empty where nothing can be read", async () => {
    await using root = await createFakeRoot();
    expect(await readHardwareIdentity(root.path)).toEqual({});
  });
});
