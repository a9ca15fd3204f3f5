import { isSelected, parseSelector, type Labels, type RolloutSpec, type SelectorRequirement } from "@fairlead/protocol";
import { checkRolloutSpec, type RolloutProblem } from "@fairlead/rollout";

/** Labels that meet the requirements, where some can. */
function toLabels(requirements: readonly SelectorRequirement[]): Labels {
  return Object.fromEntries(
    requirements.flatMap((requirement): [string, string][] => {
      if (requirement.kind === "exists") return [[requirement.key, ""]];
      return requirement.kind === "in" ? [[requirement.key, requirement.values[0] ?? ""]] : [];
    }),
  );
}

/** What the plane would ask of a fleet, asked of one device that stands for it; what depends on the real one is left out. */
function isOfAnyFleet({ code, path }: RolloutProblem, spec: RolloutSpec): boolean {
  if (code === "stages_incomplete") return path !== "stages";
  if (code === "selector_empty") return path === "selector" && spec.selector.trim() === "" && !spec.wholeFleet;
  return code === "validation_failed";
}

/** Every reason why no fleet whatever could be led through this rollout: known without a server. */
export function checkRolloutForm(spec: RolloutSpec): readonly RolloutProblem[] {
  const requirements = parseSelector(spec.selector);
  const labels = toLabels(requirements);
  const stand = { device: "stand-in", labels, lifecycle: "enrolled", running: null } as const;
  const problems = checkRolloutSpec(spec, {
    ...{ rolloutId: "rol-planned", releaseId: "rel-planned", labels: null, labelsOf: new Map() },
    fleet: isSelected(requirements, labels) ? [stand] : [],
  }).filter((problem) => isOfAnyFleet(problem, spec));
  // Of an empty selector it is said twice: that it is empty, and that it names nobody here.
  return problems.filter(({ path }, index) => problems.findIndex((other) => other.path === path) === index);
}
