import type { EnergyWindow, Reading, SlotWindow, TelemetryWindow } from "@fairlead/protocol";
import { mergeClassCounts } from "./class-counts.ts";
import { mergeErrors, toErrorCount } from "./cohort.ts";
import { mergeConfidence } from "./confidence-histogram.ts";
import { addCounts } from "./counts.ts";
import { mergeHistograms } from "./merge-histograms.ts";
import { mergeShadows } from "./shadow-counts.ts";

const maxMerged = 1_000_000;
const maxSlots = 64;
const maxReading = 1e15;
/** Below this many inferences a quotient says more about chance than about the model. */
const minInferences = 10;

/** True when the merged window stays within the wire schema. */
export function canMergeWindows(older: TelemetryWindow, newer: TelemetryWindow): boolean {
  const keys = new Set([...older.slots, ...newer.slots].map(toSlotKey));
  return keys.size <= maxSlots && older.mergedWindows + newer.mergedWindows <= maxMerged;
}

/**
 * One window for two, for an outbox that must stay in its limit: counts and sketches add up, host readings are the
 * newer ones, energy adds up within one method, scope and source and is otherwise absent with the reason.
 * Ask `canMergeWindows` first; beyond it the result would be refused by the wire schema.
 */
export function mergeWindows(older: TelemetryWindow, newer: TelemetryWindow): TelemetryWindow {
  const comparable = isSameMeter(older.energy, newer.energy);
  const slots = new Map<string, SlotWindow>();
  for (const slot of [...older.slots, ...newer.slots]) {
    const known = slots.get(toSlotKey(slot));
    slots.set(toSlotKey(slot), known === undefined ? slot : mergeSlotWindows(known, slot));
  }
  const merged = [...slots.values()];
  return {
    t0Ms: Math.min(older.t0Ms, newer.t0Ms),
    t1Ms: Math.max(older.t1Ms, newer.t1Ms),
    mergedWindows: older.mergedWindows + newer.mergedWindows,
    host: newer.host,
    energy: mergeEnergy(older.energy, newer.energy),
    slots: comparable ? merged : merged.map(withoutEnergy),
  };
}

/** One build's two shares of windows whose energy has the same method, scope and source. */
export function mergeSlotWindows(a: SlotWindow, b: SlotWindow): SlotWindow {
  const requests = addCounts(a.requests, b.requests);
  const errors = mergeErrors(a.errors, b.errors);
  const activeJ = addReadings(a.activeJ, b.activeJ);
  const shadow = mergeShadows(a.shadow, b.shadow);
  const accepted = a.joulesPerInference.value !== null || b.joulesPerInference.value !== null;
  return {
    ...b,
    requests,
    errors,
    latencyUs: mergeHistograms(a.latencyUs, b.latencyUs),
    confidence: mergeConfidence(a.confidence, b.confidence),
    classCounts: mergeClassCounts(a.classCounts, b.classCounts),
    outputMin: toExtreme(Math.min, a.outputMin, b.outputMin),
    outputMax: toExtreme(Math.max, a.outputMax, b.outputMax),
    nanCount: addCounts(a.nanCount, b.nanCount),
    busyUs: addCounts(a.busyUs, b.busyUs),
    activeJ,
    joulesPerInference: accepted
      ? toQuotient(activeJ, requests - toErrorCount(errors))
      : { value: null, reason: "no merged window had enough inferences or readings" },
    ...(shadow === null ? {} : { shadow }),
  };
}

function toQuotient(activeJ: Reading, inferences: number): Reading {
  if (activeJ.value === null) return activeJ;
  if (inferences < minInferences) return { value: null, reason: `${inferences} inferences; ${minInferences} needed` };
  return { value: activeJ.value / inferences };
}

function toSlotKey(slot: SlotWindow): string {
  return [slot.slot, slot.model, slot.version, slot.buildDigest].join(" ");
}

function isSameMeter(a: EnergyWindow, b: EnergyWindow): boolean {
  return a.method === b.method && a.scope === b.scope && a.source === b.source;
}

const mixed: Reading = { value: null, reason: "the merged windows were measured with different methods" };

function mergeEnergy(older: EnergyWindow, newer: EnergyWindow): EnergyWindow {
  if (!isSameMeter(older, newer)) return { ...newer, totalJ: mixed, idleJ: mixed, activeJ: mixed };
  return {
    ...newer,
    totalJ: addReadings(older.totalJ, newer.totalJ),
    idleJ: addReadings(older.idleJ, newer.idleJ),
    activeJ: addReadings(older.activeJ, newer.activeJ),
  };
}

function withoutEnergy(slot: SlotWindow): SlotWindow {
  return { ...slot, activeJ: mixed, joulesPerInference: mixed };
}

/** A sum with a missing part is missing: the rest alone would look like less energy than was used. */
function addReadings(a: Reading, b: Reading): Reading {
  if (a.value === null) return a;
  if (b.value === null) return b;
  return { value: Math.min(a.value + b.value, maxReading) };
}

function toExtreme(pick: (a: number, b: number) => number, a: number | null, b: number | null): number | null {
  if (a === null) return b;
  return b === null ? a : pick(a, b);
}
