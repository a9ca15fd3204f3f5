import type { Command } from "../../command.ts";
import { firstArgument } from "../../input.ts";
import { findRollout, rolloutArgument, rolloutView } from "./view.ts";

export const listRollouts: Command = {
  noun: "rollouts",
  verb: "list",
  summary: "List rollouts",
  async run({ client, out }) {
    const rollouts = await (await client()).rollouts.list();
    out.list(
      rollouts.toSorted((left, right) => right.createdAtMs - left.createdAtMs),
      rolloutView(out),
    );
  },
};

export const rolloutHistory: Command = {
  noun: "rollouts",
  verb: "history",
  summary: "Show every decision of a rollout with the numbers behind it",
  arguments: [rolloutArgument],
  async run({ client, out }, input) {
    const api = await client();
    const { rolloutId } = await findRollout(api, firstArgument(input));
    out.list(await api.rollouts.history(rolloutId), {
      name: (entry) => entry.code,
      empty: "nothing has been decided yet",
      columns: [
        { title: "TIME", cell: (entry) => new Date(entry.tsMs).toISOString() },
        { title: "KIND", cell: (entry) => entry.kind },
        { title: "CODE", cell: (entry) => entry.code },
        { title: "REASON", cell: (entry) => entry.reason },
        { title: "DETAILS", cell: (entry) => JSON.stringify(entry.details), wide: true },
      ],
    });
  },
};
