import type { Command, CommandContext } from "../../command.ts";
import { exitCodes } from "../../exit-codes.ts";
import { firstArgument } from "../../input.ts";
import { followRollout } from "../../rollouts/follow.ts";
import { exitByRolloutState } from "../../rollouts/outcome.ts";
import { renderStatus } from "../../rollouts/render-status.ts";
import { createScreen } from "../../rollouts/screen.ts";
import { findRollout, rolloutArgument } from "./view.ts";
import { sanitize } from "../../output/sanitize.ts";

/** Waits for the end and says how it ended. */
export async function watchRollout(context: CommandContext, rolloutId: string): Promise<number> {
  const { out, signal, timeoutMs } = context;
  const client = await context.client();
  const screen = createScreen(context);
  const end = await followRollout({
    client,
    rolloutId,
    timeoutMs,
    signal,
    show: (status) => screen.show(status),
    warn: (message) => out.message(message),
  });
  if (end.status !== null && out.isStructured) out.value(end.status);
  if (end.kind === "timed-out") {
    out.error(
      `time is up: the rollout goes on (${end.status?.state ?? "not seen yet"}); look again with fairlead rollouts status ${rolloutId}`,
    );
    return exitCodes.timedOut;
  }
  if (!out.isTerminal && !out.isStructured)
    out.lines(renderStatus(end.status, { nowMs: context.nowMs(), paint: (style, text) => out.paint(style, text) }));
  return exitByRolloutState[end.status.state] ?? exitCodes.ok;
}

export const rolloutStatus: Command = {
  noun: "rollouts",
  verb: "status",
  summary: "Show a rollout's stages, counts and gates; on a terminal, until it ends",
  arguments: [rolloutArgument],
  options: [
    { flags: "-w, --watch", description: "wait until it ends (default on a terminal)" },
    { flags: "--no-watch", description: "show it once" },
  ],
  help: "Exit code 0: succeeded (or still running with --no-watch) · 8: ended rolled back, aborted or failed · 6: --timeout passed, the rollout goes on.",
  async run(context, input) {
    const { out } = context;
    const client = await context.client();
    const status = await findRollout(client, firstArgument(input));
    if (input.flag("watch") ?? (out.isTerminal && !out.isStructured)) return watchRollout(context, status.rolloutId);
    const paint = (style: Parameters<typeof out.paint>[0], text: string): string => out.paint(style, text);
    if (out.isStructured) out.value(status);
    else if (out.format === "name") out.lines([sanitize(status.rolloutId)]);
    else out.lines(renderStatus(status, { nowMs: context.nowMs(), paint }));
    return exitByRolloutState[status.state] ?? exitCodes.ok;
  },
};
