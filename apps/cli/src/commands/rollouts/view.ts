import type { Client } from "@fairlead/client";
import type { RolloutStatus, RolloutSummary } from "@fairlead/protocol";
import type { ListView, Output } from "../../output/output.ts";
import { findOrSuggest, kinds } from "../../not-found.ts";

const toStage = (rollout: RolloutSummary): string => {
  const current = rollout.stages.find((stage) => stage.endedAtMs === null && stage.startedAtMs !== null);
  const passed = rollout.stages.filter((stage) => stage.state === "passed").length;
  return `${current === undefined ? "" : `${current.name} `}${passed}/${rollout.stages.length}`;
};

export function rolloutView(out: Output): ListView<RolloutSummary> {
  return {
    name: (rollout) => rollout.rolloutId,
    empty: "no rollouts: fairlead rollouts create makes one",
    columns: [
      { title: "ROLLOUT", cell: (rollout) => rollout.rolloutId },
      { title: "STATE", cell: (rollout) => rollout.state },
      { title: "MODEL", cell: (rollout) => `${rollout.spec.model} ${rollout.spec.version}` },
      { title: "SLOT", cell: (rollout) => rollout.spec.slot },
      { title: "STAGE", cell: toStage },
      { title: "CREATED", cell: (rollout) => out.toAge(rollout.createdAtMs) },
      { title: "SELECTOR", cell: (rollout) => rollout.spec.selector, wide: true },
      { title: "REASON", cell: (rollout) => rollout.reason, wide: true },
    ],
  };
}

export const rolloutArgument = { syntax: "<rollout>", description: "its id" };

export function findRollout(client: Client, id: string): Promise<RolloutStatus> {
  return findOrSuggest(kinds.rollout, id, {
    find: () => client.rollouts.get(id),
    listNames: async () => (await client.rollouts.list()).map((rollout) => rollout.rolloutId),
  });
}
