import { toCallerClass, toSharerName, type CallerClass } from "./refusal-share.ts";

const maxReasons = 16;
const maxAddresses = 1_000;
/** Of each class, so that strangers crowd out nobody who is known. */
const maxCallerKinds = 32;

/** What is counted of a refusal that gets no entry of its own. */
export interface Counted {
  readonly actor: string;
  readonly from: string;
  readonly reason: string;
  readonly kind: string | undefined;
}

interface Addition {
  readonly max: number;
  readonly count?: number;
}

function addTo(counts: Map<string, number>, name: string, { max, count = 1 }: Addition): void {
  const key = counts.has(name) || counts.size < max ? name : "other";
  counts.set(key, (counts.get(key) ?? 0) + count);
}

function addAll(counts: Map<string, number>, more: ReadonlyMap<string, number>, max: number): void {
  for (const [name, count] of more) addTo(counts, name, { max, count });
}

/** Counts of bounded size: how many refusals, why, whose and of which kind, and from how many addresses. */
export class CondensedRefusals {
  readonly #sinceMs: number;
  #count = 0;
  readonly #byReason = new Map<string, number>();
  readonly #byCaller: Readonly<Record<CallerClass, Map<string, number>>> = {
    ...{ person: new Map(), device: new Map(), anonymous: new Map() },
  };
  readonly #addresses = new Set<string>();

  constructor(sinceMs: number) {
    this.#sinceMs = sinceMs;
  }

  add(refusal: Counted): void {
    const reason = refusal.reason.slice(0, 64);
    const whoAndWhat = `${toSharerName(refusal).slice(0, 128)}: ${(refusal.kind ?? reason).slice(0, 128)}`;
    this.#count += 1;
    addTo(this.#byReason, reason, { max: maxReasons });
    addTo(this.#byCaller[toCallerClass(refusal.actor)], whoAndWhat, { max: maxCallerKinds });
    this.#addAddress(refusal.from);
  }

  /** Takes in what was counted after this one began. */
  merge(later: CondensedRefusals): void {
    this.#count += later.#count;
    addAll(this.#byReason, later.#byReason, maxReasons);
    for (const [callers, counts] of Object.entries(later.#byCaller))
      addAll(this.#byCaller[callers as CallerClass], counts, maxCallerKinds);
    for (const address of later.#addresses) this.#addAddress(address);
  }

  #addAddress(address: string): void {
    if (this.#addresses.size < maxAddresses) this.#addresses.add(address);
  }

  /** As an audit entry tells it. */
  toDetails(untilMs: number): Readonly<Record<string, unknown>> {
    const byCaller: Record<string, number> = {};
    for (const [callers, counts] of Object.entries(this.#byCaller))
      for (const [name, count] of counts) byCaller[name === "other" ? `other ${callers}` : name] = count;
    return {
      ...{ count: this.#count, sinceMs: this.#sinceMs, untilMs, byReason: Object.fromEntries(this.#byReason) },
      ...{ byCaller, addresses: this.#addresses.size },
    };
  }
}
