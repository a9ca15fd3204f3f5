import { CodedError } from "@fairlead/kernel";
import { isSelected, limits, parseSelector, type Labels, type SelectorRequirement } from "@fairlead/protocol";

/**
 * Which devices a caller is concerned with. A selector is a conjunction, so two of them are intersected by asking for both;
 * whether one contains another is never asked of their texts.
 */
export type Scope =
  | { readonly kind: "fleet" }
  | { readonly kind: "part"; readonly selector: string; readonly requirements: readonly SelectorRequirement[] }
  | { readonly kind: "none" };

export const wholeFleet: Scope = { kind: "fleet" };
/** Of devices and of whoever is not known. */
export const noScope: Scope = { kind: "none" };

/** `null` is the whole fleet. @throws CodedError `selector_invalid` */
export function parseScope(selector: string | null): Scope {
  return selector === null ? wholeFleet : { kind: "part", selector, requirements: parseSelector(selector) };
}

/** The text under which a scope is kept; null for the whole fleet. */
export function toScopeText(scope: Scope): string | null {
  return scope.kind === "part" ? scope.selector : null;
}

export function isInScope(scope: Scope, labels: Labels): boolean {
  switch (scope.kind) {
    case "fleet":
      return true;
    case "part":
      return isSelected(scope.requirements, labels);
    case "none":
      return false;
  }
}

const isSame = (left: SelectorRequirement, right: SelectorRequirement): boolean =>
  JSON.stringify(left) === JSON.stringify(right);

function toText(requirement: SelectorRequirement): string {
  switch (requirement.kind) {
    case "in":
      return `${requirement.key} in (${requirement.values.join(",")})`;
    case "not-in":
      return `${requirement.key} notin (${requirement.values.join(",")})`;
    case "exists":
      return requirement.key;
    case "not-exists":
      return `!${requirement.key}`;
  }
}

/** The requirements of the scope that the selector does not state itself, literally. */
function toMissing(scope: Scope, selector: string): readonly SelectorRequirement[] {
  if (scope.kind !== "part") return [];
  const stated = parseSelector(selector);
  return scope.requirements.filter((requirement) => !stated.some((other) => isSame(requirement, other)));
}

/**
 * A selector that names exactly the devices that both name. One that states the scope already stays as it is written, so
 * that a file which is applied twice finds its own rollout again.
 * @throws CodedError `selector_invalid` when both together are longer than a selector may be
 */
export function narrowSelector(scope: Scope, selector: string): string {
  if (scope.kind === "none") throw new CodedError("selector_invalid", "no device is in reach");
  const missing = toMissing(scope, selector).map(toText);
  if (missing.length === 0) return selector;
  const text = [...(selector.trim() === "" ? [] : [selector.trim()]), ...missing].join(",");
  if (text.length <= limits.selectorCharacters) return text;
  throw new CodedError("selector_invalid", "the selector and the one of your token together are too long", {
    hint: `write a shorter one: at most ${limits.selectorCharacters} characters with "${toScopeText(scope)}"`,
  });
}

export interface ScopedRollout {
  readonly selector: string;
  /** Every device that it has named so far. */
  readonly devices: readonly string[];
}

/**
 * True when no device of the rollout lies outside: neither one that it named, nor one that its selector names now. A rollout
 * that names nothing shows only by its selector whose it is, so that must state the scope.
 */
export function isRolloutInScope(scope: Scope, rollout: ScopedRollout, fleet: ReadonlyMap<string, Labels>): boolean {
  if (scope.kind !== "part") return scope.kind === "fleet";
  const selector = parseSelector(rollout.selector);
  const selected = [...fleet].filter(([, labels]) => isSelected(selector, labels)).map(([device]) => device);
  const devices = [...new Set([...rollout.devices, ...selected])];
  if (devices.length === 0) return toMissing(scope, rollout.selector).length === 0;
  return devices.every((device) => {
    const labels = fleet.get(device);
    return labels !== undefined && isInScope(scope, labels);
  });
}
