import type { Reading } from "@fairlead/protocol";
import { listNode, readNode, readNumber, toMissing } from "../root.ts";

const base = "sys/class/thermal";

/** Temperature in °C of the thermal zone with this type; of several, the hottest. */
export async function readThermalZone(root: string, type: string): Promise<Reading> {
  const readings: Reading[] = [];
  for (const entry of await listNode(root, base)) {
    if (!entry.startsWith("thermal_zone")) continue;
    const node = await readNode(root, `${base}/${entry}/type`);
    if (node.kind === "text" && node.text === type)
      readings.push(await readNumber(root, `${base}/${entry}/temp`, 1e-3));
  }
  const values = readings.flatMap(({ value }) => (value === null ? [] : [value]));
  if (values.length > 0) return { value: Math.max(...values) };
  return readings[0] ?? toMissing(`absent: thermal zone ${type}`);
}
