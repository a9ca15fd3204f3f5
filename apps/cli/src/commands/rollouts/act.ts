import type { RolloutAction } from "@fairlead/protocol";
import type { Command } from "../../command.ts";
import { firstArgument } from "../../input.ts";
import { findRollout, rolloutArgument, rolloutView } from "./view.ts";

interface ActionText {
  readonly summary: string;
  /** Asked before an action that changes what devices run. */
  readonly question: string | null;
}

const texts: Readonly<Record<RolloutAction, ActionText>> = {
  pause: { summary: "Stop offering to further devices until resumed", question: null },
  resume: { summary: "Go on after a pause", question: null },
  promote: {
    summary: "Pass the present stage now, whatever its gates wait for",
    question: "promote past the gates of the present stage?",
  },
  abort: {
    summary: "End it and return every touched device to its previous version",
    question: "abort and roll back every touched device?",
  },
  undo: {
    summary: "Return the devices of an ended rollout to their previous version",
    question: "return every device of this rollout to its previous version?",
  },
  retry: { summary: "Offer again to the devices that failed", question: null },
};

const toCommand = (action: RolloutAction): Command => ({
  noun: "rollouts",
  verb: action,
  summary: texts[action].summary,
  arguments: [rolloutArgument],
  options: [{ flags: "--reason <text>", description: "kept in the audit log", default: "" }],
  async run({ client, out, confirm }, input) {
    const api = await client();
    const rollout = await findRollout(api, firstArgument(input));
    const { question } = texts[action];
    if (question !== null)
      await confirm(`${rollout.rolloutId} (${rollout.spec.model} ${rollout.spec.version}): ${question}`);
    // What was looked at is what is passed: when somebody else has passed it by now, this is refused.
    const stage = rollout.stages.find(({ state }) => ["running", "soaking", "failed"].includes(state))?.name;
    const changed = await api.rollouts.act(rollout.rolloutId, {
      ...{ action, reason: input.required("reason") },
      ...(action === "promote" && stage !== undefined ? { stage } : {}),
    });
    out.list([changed], rolloutView(out));
    out.message(`next: fairlead rollouts status ${changed.rolloutId}`);
  },
});

export const rolloutActions: readonly Command[] = (
  ["pause", "resume", "promote", "abort", "undo", "retry"] as const
).map(toCommand);
