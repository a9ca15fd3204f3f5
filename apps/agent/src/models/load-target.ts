import { CodedError } from "@fairlead/kernel";
import type { ExecutionProvider } from "@fairlead/protocol";
import { toProviders } from "./placement.ts";

/** What a configured runtime offers beside the one in the serving process. */
export interface RuntimeOffer {
  readonly name: string;
  readonly providers: readonly ExecutionProvider[];
  /** Slots that are its own. */
  readonly slots: readonly string[];
  /** Longest time of one load; absent for the default of the serving process. */
  readonly loadTimeoutMs?: number;
}

/** What the device's configuration says of one slot. */
export interface SlotDemand {
  /** In place of the device's; null for those. */
  readonly providers: readonly ExecutionProvider[] | null;
  /** The cpu may not run any of it. */
  readonly require: boolean;
}

export interface DeviceOffers {
  /** Of the runtime in the serving process, the preferred one first. */
  readonly providers: readonly ExecutionProvider[];
  readonly runtimes: readonly RuntimeOffer[];
  /** By the slot's name; absent when nothing is said of any. */
  readonly slots?: Readonly<Record<string, SlotDemand>>;
  /** Longest time of one load in the serving process; absent for its default. */
  readonly loadTimeoutMs?: number;
}

/** Which runtime loads a build, and with which providers; without a name it is the one in the serving process. */
export interface LoadTarget {
  readonly providers: readonly ExecutionProvider[];
  readonly runtime?: string;
  readonly loadDeadlineMs?: number;
}

/**
 * A slot that was given to a runtime runs there. Else the first provider that the build names and anybody offers
 * decides, the serving process before others. What the slot says of its providers goes before what the device says, and
 * where an accelerator is required the cpu is taken away.
 * @throws CodedError `accelerator_required`
 */
export function toLoadTarget(slot: string, wanted: readonly ExecutionProvider[], offers: DeviceOffers): LoadTarget {
  const demand = offers.slots !== undefined && Object.hasOwn(offers.slots, slot) ? offers.slots[slot] : undefined;
  const target = choose(slot, wanted, { ...offers, providers: demand?.providers ?? offers.providers });
  if (demand?.require !== true) return target;
  const providers = target.providers.filter((provider) => provider !== "cpu");
  if (providers.length > 0) return { ...target, providers };
  throw new CodedError(
    "accelerator_required",
    `slot ${slot} requires an accelerator, and the build can only run on ${target.providers.join(", ")} here`,
    { hint: "release a build for the accelerator, name another provider for the slot, or do not require it" },
  );
}

function choose(slot: string, wanted: readonly ExecutionProvider[], offers: DeviceOffers): LoadTarget {
  const toTarget = ({ name, providers, loadTimeoutMs }: RuntimeOffer) => ({
    runtime: name,
    providers: toProviders(wanted, providers),
    ...(loadTimeoutMs === undefined ? {} : { loadDeadlineMs: loadTimeoutMs }),
  });
  const owner = offers.runtimes.find(({ slots }) => slots.includes(slot));
  if (owner !== undefined) return toTarget(owner);
  for (const provider of wanted) {
    if (offers.providers.includes(provider)) break;
    const offering = offers.runtimes.find(({ providers }) => providers.includes(provider));
    if (offering !== undefined) return toTarget(offering);
  }
  const { loadTimeoutMs } = offers;
  return {
    providers: toProviders(wanted, offers.providers),
    ...(loadTimeoutMs === undefined ? {} : { loadDeadlineMs: loadTimeoutMs }),
  };
}

/** Everything that some runtime or slot of the device offers, without repetition. */
export function listProviders({ providers, runtimes, slots = {} }: DeviceOffers): ExecutionProvider[] {
  const ofSlots = Object.values(slots).flatMap((slot) => slot.providers ?? []);
  return [...new Set([...providers, ...runtimes.flatMap((runtime) => runtime.providers), ...ofSlots])];
}
