import type { Scope } from "./functions.ts";
import type { KnownValues } from "./known-values.ts";
import type { Trail } from "./place.ts";
import type { Tally } from "./tally.ts";
import type { Range, WireReader } from "./wire.ts";

/** What a walk carries along: where it reads, what it counts and knows, in which scope, where and how deep. */
export interface Walk {
  readonly reader: WireReader;
  readonly tally: Tally;
  readonly trail: Trail;
  readonly scope: Scope;
  readonly known: KnownValues;
  readonly depth: number;
  /** Walks a graph that an attribute holds; handed along, since graphs and attributes hold each other. */
  readonly readGraph: (walk: Walk, range: Range) => void;
}
