import { chmod, rename } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createFakeRoot } from "../testing/fake-root.ts";
import { createCpuReader } from "./cpu.ts";
import { readHwmonFlag, readHwmonPower, readHwmonTemperature } from "./hwmon.ts";
import { openNvidiaReader } from "./nvidia.ts";
import { findRaplZone, readRapl } from "./rapl.ts";
import { readDisk, readMemory, readUptime } from "./system.ts";
import { readThermalZone } from "./thermal-zone.ts";
import { createThrottleCountReader } from "./throttle.ts";

const missing = (reason: string) => ({ value: null, reason: expect.stringContaining(reason) as string });

describe("cpu", () => {
  it("gives the busy share since the last call, and a reason for the first and after a reset", async () => {
    await using root = await createFakeRoot({ "proc/stat": "cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 1 1 1\n" });
    const read = createCpuReader(root.path);
    expect(await read()).toEqual(missing("first sample"));
    await root.put({ "proc/stat": "cpu  150 0 125 750 125 0 0 0 90 0\n" });
    expect(await read()).toEqual({ value: 0.5 });
    expect(await read()).toEqual(missing("no time passed"));
    await root.put({ "proc/stat": "cpu  1 0 1 1 1 0 0 0\n" });
    expect(await read()).toEqual(missing("reset"));
    await root.put({ "proc/stat": "intr 5" });
    expect(await read()).toEqual(missing("no cpu line"));
  });
});

describe("memory, disk and uptime", () => {
  it("are read in bytes and seconds, or missing with the reason", async () => {
    await using root = await createFakeRoot({
      "proc/meminfo": "MemTotal:        1000 kB\nMemFree:  10 kB\nMemAvailable:     400 kB\n",
      "proc/uptime": "12.5 20.1\n",
    });
    expect(await readMemory(root.path)).toEqual({ used: { value: 614_400 }, total: { value: 1_024_000 } });
    expect(await readUptime(root.path)).toEqual({ value: 12.5 });
    expect((await readDisk(root.path)).free.value).toBeGreaterThan(0);
    expect((await readDisk(join(root.path, "nowhere"))).free).toEqual(missing("ENOENT"));
    await root.put({ "proc/meminfo": "MemTotal: 5 kB", "proc/uptime": undefined });
    expect((await readMemory(root.path)).used).toEqual(missing("MemAvailable"));
    expect(await readUptime(root.path)).toEqual(missing("absent: proc/uptime"));
  });
});

describe("rapl", () => {
  const zone = (path: string, name: string) => ({
    [`sys/class/powercap/${path}/name`]: `${name}\n`,
    [`sys/class/powercap/${path}/energy_uj`]: "123456\n",
    [`sys/class/powercap/${path}/max_energy_range_uj`]: "262143328850\n",
  });

  it("counts one zone: the board before the package, never a part of it", async () => {
    await using root = await createFakeRoot({
      ...zone("intel-rapl:0", "package-0"),
      ...zone("intel-rapl:0:0", "core"),
      ...zone("intel-rapl:1", "psys"),
    });
    expect(await findRaplZone(root.path)).toMatchObject({ source: { source: "rapl:psys", scope: "board" } });
    await root.put({ "sys/class/powercap/intel-rapl:1": undefined });
    const found = await findRaplZone(root.path);
    expect(found).toMatchObject({
      source: { kind: "counter", source: "rapl:package-0", scope: "package", maxRangeUj: 262_143_328_850 },
    });
    if ("reason" in found) throw new Error(found.reason);
    expect(await readRapl(root.path, found)).toEqual({ value: 123_456 });
    await root.put({ "sys/class/powercap/intel-rapl:0/name": "dram" });
    expect(await readRapl(root.path, found)).toEqual(missing("the zone is now dram"));
    expect(await findRaplZone(root.path)).toMatchObject({ reason: expect.stringContaining("absent") as string });
  });

  it("says that the counter is forbidden, as it is for ordinary users", async () => {
    await using root = await createFakeRoot(zone("intel-rapl:0", "package-0"));
    await chmod(root.path, 0o755);
    await chmod(join(root.path, "sys/class/powercap/intel-rapl:0/energy_uj"), 0);
    // Root may read everything, so as root the test becomes "nobody" for the time of the reading.
    const superuser = process.geteuid?.() === 0;
    if (superuser) process.seteuid?.(65_534);
    try {
      expect(await findRaplZone(root.path)).toMatchObject({
        reason: expect.stringContaining("permission denied") as string,
      });
    } finally {
      if (superuser) process.seteuid?.(0);
    }
  });
});

describe("hwmon", () => {
  it("finds chips by name and channels by label after they were renumbered", async () => {
    await using root = await createFakeRoot({
      "sys/class/hwmon/hwmon0/name": "nvme\n",
      "sys/class/hwmon/hwmon0/temp1_input": "99000",
      "sys/class/hwmon/hwmon1/name": "coretemp\n",
      "sys/class/hwmon/hwmon1/temp1_label": "Package id 0\n",
      "sys/class/hwmon/hwmon1/temp1_input": "51500\n",
      "sys/class/hwmon/hwmon1/temp2_label": "Core 0\n",
      "sys/class/hwmon/hwmon1/temp2_input": "54000\n",
    });
    const check = async () => {
      expect(await readHwmonTemperature(root.path, { chip: "coretemp", label: "Package id 0" })).toEqual({
        value: 51.5,
      });
      expect(await readHwmonTemperature(root.path, { chip: "coretemp" })).toEqual({ value: 54 });
    };
    await check();
    const folder = join(root.path, "sys/class/hwmon");
    await rename(join(folder, "hwmon0"), join(folder, "hwmon7"));
    await rename(join(folder, "hwmon1"), join(folder, "hwmon0"));
    await check();
    expect(await readHwmonTemperature(root.path, { chip: "k10temp" })).toEqual(missing("absent: hwmon k10temp"));
    await root.put({ "sys/class/hwmon/hwmon0/temp1_input": "ERROR" });
    expect(await readHwmonTemperature(root.path, { chip: "coretemp", label: "Package id 0" })).toEqual(
      missing("not a number"),
    );
  });

  it("reads power from a channel, or from a rail's voltage and current", async () => {
    await using root = await createFakeRoot({
      "sys/class/hwmon/hwmon0/name": "ina3221",
      "sys/class/hwmon/hwmon0/in1_label": "VDD_IN",
      "sys/class/hwmon/hwmon0/in1_input": "5000",
      "sys/class/hwmon/hwmon0/curr1_input": "1200",
      "sys/class/hwmon/hwmon0/in2_label": "VDD_SOC",
      "sys/class/hwmon/hwmon0/in2_input": "5000",
      "sys/class/hwmon/hwmon1/name": "power_meter",
      "sys/class/hwmon/hwmon1/power1_average": "42000000",
    });
    expect((await readHwmonPower(root.path, { chip: "ina3221", label: "VDD_IN" })).value).toBeCloseTo(6, 9);
    expect(await readHwmonPower(root.path, { chip: "ina3221", label: "VDD_SOC" })).toEqual(missing("curr2_input"));
    expect(await readHwmonPower(root.path, { chip: "ina3221" })).toEqual(missing("name a label"));
    expect(await readHwmonPower(root.path, { chip: "power_meter" })).toEqual({ value: 42 });
  });
});

describe("thermal zones and throttling", () => {
  it("match on the type", async () => {
    await using root = await createFakeRoot({
      "sys/class/thermal/thermal_zone4/type": "cpu-thermal\n",
      "sys/class/thermal/thermal_zone4/temp": "61250\n",
    });
    expect(await readThermalZone(root.path, "cpu-thermal")).toEqual({ value: 61.25 });
    expect(await readThermalZone(root.path, "tj-thermal")).toEqual(missing("absent: thermal zone tj-thermal"));
  });

  it("reports throttling that happened since the last call", async () => {
    const count = (cpu: number) => `sys/devices/system/cpu/cpu${cpu}/thermal_throttle/core_throttle_count`;
    await using root = await createFakeRoot({ [count(0)]: "3", [count(1)]: "0" });
    const read = createThrottleCountReader(root.path);
    expect(await read()).toEqual(missing("first sample"));
    expect(await read()).toEqual({ value: 0 });
    await root.put({ [count(1)]: "1" });
    expect(await read()).toEqual({ value: 1 });
    await root.put({ [count(0)]: "0" });
    expect(await read()).toEqual(missing("reset"));
    await using bare = await createFakeRoot();
    expect(await createThrottleCountReader(bare.path)()).toEqual(missing("absent"));
  });

  it("read the under-voltage alarm of a board", async () => {
    await using root = await createFakeRoot({
      "sys/class/hwmon/hwmon2/name": "rpi_volt",
      "sys/class/hwmon/hwmon2/in0_lcrit_alarm": "1",
    });
    expect(await readHwmonFlag(root.path, "rpi_volt", "in0_lcrit_alarm")).toEqual({ value: 1 });
  });
});

describe("nvidia-smi", () => {
  it("is followed through one process, and its end is a reason", async () => {
    await using root = await createFakeRoot({
      "nvidia-smi": "#!/bin/sh\necho '27.50, 41, [N/A]'\nexec sleep 60\n",
      "broken-smi": "#!/bin/sh\nexit 9\n",
    });
    await chmod(join(root.path, "nvidia-smi"), 0o755);
    await chmod(join(root.path, "broken-smi"), 0o755);
    const reader = openNvidiaReader({ binary: join(root.path, "nvidia-smi") });
    expect(await reader.ready).toEqual({ reason: null });
    expect(reader.read()).toEqual({
      powerW: { value: 27.5 },
      temperatureC: { value: 41 },
      utilization: missing("[N/A]"),
    });
    await reader.close();
    expect(reader.read().powerW).toEqual(missing("ended"));
    const broken = openNvidiaReader({ binary: join(root.path, "broken-smi") });
    expect((await broken.ready).reason).toContain("status 9");
    const absent = openNvidiaReader({ binary: join(root.path, "none") });
    expect((await absent.ready).reason).toBe("absent: nvidia-smi");
    await Promise.all([broken.close(), absent.close()]);
  });
});
