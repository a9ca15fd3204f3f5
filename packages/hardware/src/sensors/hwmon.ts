import type { Reading } from "@fairlead/protocol";
import { listNode, readNode, readNumber, toMissing } from "../root.ts";

const base = "sys/class/hwmon";
const milli = 1e-3;
const micro = 1e-6;

export interface HwmonSelector {
  /** Content of the chip's `name` file. */
  readonly chip: string;
  /** Content of the channel's `_label` file; without it the chip must have exactly one channel of the kind. */
  readonly label?: string | undefined;
}

/** Folders of all chips with a name. Numbers change between boots, so they identify nothing. */
export async function findChips(root: string, chip: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await listNode(root, base)) {
    const name = await readNode(root, `${base}/${entry}/name`);
    if (name.kind === "text" && name.text === chip) found.push(`${base}/${entry}`);
  }
  return found;
}

/** Temperature in °C; of several channels without a label, the hottest. */
export async function readHwmonTemperature(root: string, selector: HwmonSelector): Promise<Reading> {
  const channels = await findChannels(root, selector, "temp");
  const readings = await Promise.all(channels.map((channel) => readNumber(root, `${channel}_input`, milli)));
  const values = readings.flatMap(({ value }) => (value === null ? [] : [value]));
  if (values.length > 0) return { value: Math.max(...values) };
  return readings[0] ?? toMissing(toAbsent(selector, "temperature"));
}

/** Power in watts: `power*_input`, or rail voltage × current where the chip has the pair `in*` and `curr*` instead. */
export async function readHwmonPower(root: string, selector: HwmonSelector): Promise<Reading> {
  const direct = await findChannels(root, selector, "power");
  if (direct.length > 1) return toMissing(`hwmon ${selector.chip} has several power channels; name a label`);
  const [channel] = direct;
  if (channel !== undefined) return readPowerChannel(root, channel);
  const rails = await findChannels(root, selector, "in");
  if (rails.length > 1) return toMissing(`hwmon ${selector.chip} has several rails; name a label`);
  const [rail] = rails;
  return rail === undefined ? toMissing(toAbsent(selector, "power")) : readRail(root, rail);
}

/** A 0/1 file of the first chip with the name that has it. */
export async function readHwmonFlag(root: string, chip: string, file: string): Promise<Reading> {
  const [folder] = await findChips(root, chip);
  return folder === undefined ? toMissing(`absent: hwmon ${chip}`) : readNumber(root, `${folder}/${file}`);
}

/** Paths such as `…/hwmon3/temp1` of the channels of one kind. */
async function findChannels(root: string, { chip, label }: HwmonSelector, kind: string): Promise<string[]> {
  const pattern = new RegExp(kind === "power" ? "^(power\\d+)_(?:input|average)$" : `^(${kind}\\d+)_input$`, "u");
  const found = new Set<string>();
  for (const folder of await findChips(root, chip)) {
    for (const file of await listNode(root, folder)) {
      const channel = pattern.exec(file)?.[1];
      if (channel === undefined) continue;
      if (label !== undefined) {
        const node = await readNode(root, `${folder}/${channel}_label`);
        if (node.kind === "none" || node.text !== label) continue;
      }
      found.add(`${folder}/${channel}`);
    }
  }
  return [...found];
}

async function readPowerChannel(root: string, channel: string): Promise<Reading> {
  const instant = await readNumber(root, `${channel}_input`, micro);
  if (instant.value !== null) return instant;
  const average = await readNumber(root, `${channel}_average`, micro);
  return average.value === null ? instant : average;
}

/** mV × mA = µW; channel n of the voltage belongs to channel n of the current (INA3221). */
async function readRail(root: string, rail: string): Promise<Reading> {
  const voltage = await readNumber(root, `${rail}_input`);
  const current = await readNumber(root, `${rail.replace(/\/in(\d+)$/u, "/curr$1")}_input`);
  if (voltage.value === null) return voltage;
  return current.value === null ? current : { value: voltage.value * current.value * micro };
}

function toAbsent({ chip, label }: HwmonSelector, what: string): string {
  return `absent: hwmon ${chip} ${what}${label === undefined ? "" : ` ${label}`}`;
}
