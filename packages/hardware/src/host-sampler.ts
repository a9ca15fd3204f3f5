import type { HostMetrics, Reading } from "@fairlead/protocol";
import type { DeviceProfile, TemperatureSensor, ThrottleSensor } from "./profile/profile.ts";
import { toMissing } from "./root.ts";
import { createCpuReader } from "./sensors/cpu.ts";
import { readHwmonFlag, readHwmonTemperature } from "./sensors/hwmon.ts";
import type { NvidiaReader } from "./sensors/nvidia.ts";
import { readDisk, readMemory, readUptime } from "./sensors/system.ts";
import { readThermalZone } from "./sensors/thermal-zone.ts";
import { createThrottleCountReader } from "./sensors/throttle.ts";

export interface HostSamplerOptions {
  readonly root: string;
  readonly profile: DeviceProfile;
  /** A path on the file system whose space matters. */
  readonly diskPath: string;
  readonly nvidia: NvidiaReader | null;
}

/** Returns a sampler of the host; ratios and throttling are since its last call. */
export function createHostSampler({ root, profile, diskPath, nvidia }: HostSamplerOptions): () => Promise<HostMetrics> {
  const readCpu = createCpuReader(root);
  const throttles = profile.sensors.throttle.map((sensor) => toThrottleReader(root, sensor));
  return async () => {
    const [cpuRatio, memory, disk, uptimeS, temperatureC, throttled] = await Promise.all([
      readCpu(),
      readMemory(root),
      readDisk(diskPath),
      readUptime(root),
      readTemperature(root, profile.sensors.temperature, nvidia),
      readThrottled(throttles),
    ]);
    return {
      cpuRatio,
      memoryUsedBytes: memory.used,
      memoryTotalBytes: memory.total,
      temperatureC,
      diskFreeBytes: disk.free,
      diskTotalBytes: disk.total,
      throttled,
      uptimeS,
    };
  };
}

async function readTemperature(
  root: string,
  sensors: readonly TemperatureSensor[],
  nvidia: NvidiaReader | null,
): Promise<Reading> {
  const reasons: string[] = [];
  for (const sensor of sensors) {
    const reading = await readTemperatureSensor(root, sensor, nvidia);
    if (reading.value !== null) return reading;
    reasons.push(reading.reason);
  }
  return toMissing(reasons.join("; ") || "the profile names no temperature sensor");
}

async function readTemperatureSensor(
  root: string,
  sensor: TemperatureSensor,
  nvidia: NvidiaReader | null,
): Promise<Reading> {
  switch (sensor.from) {
    case "hwmon":
      return readHwmonTemperature(root, sensor);
    case "thermalZone":
      return readThermalZone(root, sensor.type);
    case "nvidia":
      return nvidia?.read().temperatureC ?? toMissing("nvidia-smi is not open");
  }
}

function toThrottleReader(root: string, sensor: ThrottleSensor): () => Promise<Reading> {
  switch (sensor.from) {
    case "cpuThrottleCount":
      return createThrottleCountReader(root);
    case "hwmonAlarm":
      return () => readHwmonFlag(root, sensor.chip, sensor.file);
  }
}

/** 1 when any sensor says so, 0 when at least one says no and none yes, null with the reasons otherwise. */
async function readThrottled(readers: readonly (() => Promise<Reading>)[]): Promise<Reading> {
  const readings = await Promise.all(readers.map((read) => read()));
  const values = readings.flatMap(({ value }) => (value === null ? [] : [value]));
  if (values.length > 0) return { value: values.some((value) => value > 0) ? 1 : 0 };
  const reasons = readings.flatMap((reading) => (reading.value === null ? [reading.reason] : []));
  return toMissing(reasons.join("; ") || "the profile names no throttle sensor");
}
