import { chmod, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { EnergyMeter } from "@fairlead/energy";
import { birthSchema, hostMetricsSchema, readingSchema } from "@fairlead/protocol";
import { readInventory } from "./inventory/index.ts";
import { openHardware } from "./open-hardware.ts";
import { detectProfile } from "./profile/detect-profile.ts";
import { loadProfiles } from "./profile/load-profiles.ts";
import { toProfileJsonSchema } from "./profile/profile.ts";
import { createFakeRoot } from "./testing/fake-root.ts";

const folder = fileURLToPath(new URL("../../../firmware-configs", import.meta.url));
const code = (name: string) => expect.objectContaining({ code: name }) as unknown;

async function loadProfile(arch: string) {
  return detectProfile(await loadProfiles(folder), { root: "/nowhere", arch });
}

describe("board profiles", () => {
  it("load, carry their folder's name and match machines by architecture", async () => {
    const profiles = await loadProfiles(folder);
    expect(profiles.map(({ metadata }) => metadata.name)).toEqual(
      expect.arrayContaining(["generic-arm64", "generic-x86"]) as string[],
    );
    expect((await loadProfile("x64")).metadata.name).toBe("generic-x86");
    expect((await loadProfile("arm64")).metadata.name).toBe("generic-arm64");
    await expect(loadProfile("mips")).rejects.toEqual(code("profile_unknown"));
  });

  it("have a JSON Schema that is up to date", async () => {
    const stale = "run: node packages/hardware/src/generate-schema.ts";
    expect(await readFile(join(folder, "schema.json"), "utf8"), stale).toBe(toProfileJsonSchema());
  });

  it("are refused with the path and every bad field", async () => {
    const good = await readFile(join(folder, "generic-x86/profile.yaml"), "utf8");
    const bad = good.replace("maxW: 45", "maxW: 5").replace("maturity: fixture-tested", "maturity: perfect");
    await using root = await createFakeRoot({ "generic-x86/profile.yaml": bad });
    const refused = loadProfiles(root.path);
    await expect(refused).rejects.toEqual(code("profile_invalid"));
    await expect(refused).rejects.toThrow(/maturity/u);
    await root.put({ "generic-x86/profile.yaml": good.replace("maxW: 45", "maxW: 5") });
    await expect(loadProfiles(root.path)).rejects.toThrow(/idleW/u);
    await root.put({ "generic-x86/profile.yaml": "a: [" });
    await expect(loadProfiles(root.path)).rejects.toThrow(/not YAML/u);
    await root.put({ "generic-x86/profile.yaml": `${good}#${"x".repeat(70_000)}` });
    await expect(loadProfiles(root.path)).rejects.toThrow(/longer/u);
    await root.put({ "generic-x86": undefined, "other/profile.yaml": good });
    await expect(loadProfiles(root.path)).rejects.toThrow(/folder's name/u);
    await root.put({ "other/profile.yaml": undefined });
    await expect(loadProfiles(root.path)).rejects.toEqual(code("profile_unreadable"));
    await expect(loadProfiles(join(root.path, "none"))).rejects.toEqual(code("profile_unreadable"));
  });

  it("prefer the one that says most about the machine", async () => {
    const generic = await loadProfile("arm64");
    const board = {
      ...generic,
      metadata: { ...generic.metadata, name: "orin" },
      detect: [
        {
          all: [
            { deviceTreeCompatible: "nvidia,tegra234" },
            { fileMatches: { path: "etc/nv_tegra_release", regex: "^# R3[56]" } },
            { pci: { vendor: "0x10de" } },
          ],
        },
      ],
    };
    await using root = await createFakeRoot({
      "proc/device-tree/compatible": "nvidia,p3767\0nvidia,tegra234\0",
      "etc/nv_tegra_release": "# R36 (release)",
      "sys/bus/pci/devices/0000:00:01.0/vendor": "0x10de",
    });
    const options = { root: root.path, arch: "arm64" };
    expect((await detectProfile([generic, board], options)).metadata.name).toBe("orin");
    await root.put({ "etc/nv_tegra_release": "# R38" });
    expect((await detectProfile([generic, board], options)).metadata.name).toBe("generic-arm64");
  });
});

describe("hardware probe", () => {
  const rapl = "sys/class/powercap/intel-rapl:0";
  const nvidia = { binary: "/nowhere/nvidia-smi" };

  it("counts joules across a wrap of the counter", async () => {
    await using root = await createFakeRoot({
      [`${rapl}/name`]: "package-0",
      [`${rapl}/energy_uj`]: "262143328000",
      [`${rapl}/max_energy_range_uj`]: "262143328850",
    });
    const probe = await openHardware({ root: root.path, profile: await loadProfile("x64"), nvidia });
    const meter = new EnergyMeter({ source: probe.energySource, periodMs: 1 });
    meter.record(await probe.sampleEnergy());
    await root.put({ [`${rapl}/energy_uj`]: "149" });
    meter.record(await probe.sampleEnergy());
    const { energy } = meter.take({ slots: [], hostBusyUs: null });
    expect(energy).toMatchObject({ method: "counter", scope: "package", source: "rapl:package-0" });
    expect(energy.totalJ.value).toBeCloseTo(0.000_999, 9);
    await root.put({ [rapl]: undefined });
    expect((await probe.sampleEnergy()).reading).toMatchObject({ value: null });
    await probe.close();
  });

  it("takes the next source when one gives nothing, and says why", async () => {
    await using root = await createFakeRoot({
      [`${rapl}/name`]: "package-0",
      "sys/class/hwmon/hwmon3/name": "power_meter",
      "sys/class/hwmon/hwmon3/power1_input": "15000000",
      "nvidia-smi": "#!/bin/sh\necho '30, 40, 50'\nexec sleep 60\n",
    });
    const binary = join(root.path, "nvidia-smi");
    await chmod(binary, 0o755);
    const profile = await loadProfile("x64");
    const open = () => openHardware({ root: root.path, profile, nvidia: { binary } });
    const measured = await open();
    expect(measured.energySource).toMatchObject({ kind: "power", source: "hwmon:power_meter" });
    expect(measured.skippedSources).toMatchObject([{ source: "rapl", reason: expect.stringContaining("energy_uj") }]);
    expect((await measured.sampleEnergy()).reading).toEqual({ value: 15 });
    await root.put({ "sys/class/hwmon/hwmon3": undefined });
    const gpu = await open();
    expect(gpu.energySource).toMatchObject({ kind: "power", source: "nvidia-smi:0", scope: "board" });
    expect((await gpu.sampleEnergy()).reading).toEqual({ value: 30 });
    await root.put({ "nvidia-smi": undefined });
    await gpu.close();
    const modelled = await open();
    expect(modelled.energySource).toMatchObject({ kind: "modelled", idleW: 10, maxW: 45 });
    expect(modelled.skippedSources).toHaveLength(3);
    await Promise.all([measured.close(), modelled.close()]);
  });

  it("gives a reason for everything on a machine that has nothing", async () => {
    await using root = await createFakeRoot();
    const probe = await openHardware({ root: root.path, profile: await loadProfile("arm64") });
    const { diskFreeBytes, diskTotalBytes, ...rest } = hostMetricsSchema.parse(await probe.sampleHost());
    expect(Object.values(rest).map(({ value }) => value)).toEqual([null, null, null, null, null, null]);
    expect([diskFreeBytes.value, diskTotalBytes.value]).not.toContain(null);
    await probe.close();
  });

  it("reads this machine: every reading is a value or null with a reason", async () => {
    const probe = await openHardware({ profile: await detectProfile(await loadProfiles(folder)) });
    hostMetricsSchema.parse(await probe.sampleHost());
    const host = hostMetricsSchema.parse(await probe.sampleHost());
    expect(host.memoryTotalBytes.value).toBeGreaterThan(0);
    expect(host.uptimeS.value).toBeGreaterThan(0);
    readingSchema.parse((await probe.sampleEnergy()).reading);
    await probe.close();
  });
});

describe("inventory", () => {
  it("fits the birth message on this machine, whatever tools are missing", async () => {
    const inventory = birthSchema.shape.inventory.parse(await readInventory());
    expect(inventory["cpu.cores"]).toBeGreaterThan(0);
  });

  it("gives a reason for what came too late", async () => {
    const inventory = await readInventory({ timeoutMs: 0 });
    expect(inventory).toMatchObject({ cpu: null, "cpu.reason": "no answer in 0 ms" });
  });
});
