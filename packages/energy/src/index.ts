export { attributeActiveJ, toJoulesPerInference, type QuotientInput } from "./attribution.ts";
export { energyDeltaJ, type CounterDelta, type CounterLimits, type CounterSample } from "./counter.ts";
export { EnergyMeter, type EnergyMeterOptions, type EnergyReport, type SlotLoad, type WindowLoad } from "./meter.ts";
export { methodByKind, toModelledPowerW, type EnergySample, type EnergySource } from "./source.ts";
export { integratePowerJ, type PowerSample } from "./trapezoid.ts";
