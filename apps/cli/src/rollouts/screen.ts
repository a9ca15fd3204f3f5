import type { RolloutStatus } from "@fairlead/protocol";
import type { CommandContext } from "../command.ts";
import { fitScreen } from "./fit-screen.ts";
import { renderStatus } from "./render-status.ts";

/** On a terminal the tree is redrawn in place; elsewhere every change of it is a new block on standard error. */
export function createScreen({ out, streams, nowMs }: Pick<CommandContext, "out" | "streams" | "nowMs">): {
  show(status: RolloutStatus): void;
} {
  let drawnLines = 0;
  let lastText = "";
  const plain = (_: string, text: string): string => text;
  return {
    show(status) {
      if (!out.isTerminal || out.isStructured) {
        const text = renderStatus({ ...status, stages: status.stages }, { nowMs: status.updatedAtMs, paint: plain })
          .slice(1)
          .join("\n");
        if (text !== lastText) out.message(text);
        lastText = text;
        return;
      }
      const lines = renderStatus(status, { nowMs: nowMs(), paint: (style, text) => out.paint(style, text) });
      const fitted = fitScreen(lines, out);
      streams.out.write(`${drawnLines === 0 ? "" : `\u001b[${drawnLines}A\u001b[J`}${fitted.join("\n")}\n`);
      drawnLines = fitted.length;
    },
  };
}
