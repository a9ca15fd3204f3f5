import type { RolloutStatus } from "@fairlead/protocol";
import type { CommandContext } from "../command.ts";
import { fitScreen } from "./fit-screen.ts";
import { renderStatus } from "./render-status.ts";

/** On a terminal the tree is redrawn in place; elsewhere every change of it is a new block on standard error. */
export function createScreen({ out, nowMs }: Pick<CommandContext, "out" | "nowMs">): {
  show(status: RolloutStatus): void;
} {
  let drawnLines = 0;
  let lastText = "";
  const plain = (_: string, text: string): string => text;
  return {
    show(status) {
      if (!out.isTerminal || out.isStructured) {
        // Compared without the time that goes by, and shown with it.
        const render = (atMs: number) => renderStatus(status, { nowMs: atMs, paint: plain }).slice(1);
        const text = render(status.updatedAtMs).join("\n");
        if (text !== lastText) for (const line of render(nowMs())) out.message(line);
        lastText = text;
        return;
      }
      const lines = renderStatus(status, { nowMs: nowMs(), paint: (style, text) => out.paint(style, text) });
      const fitted = fitScreen(lines, out);
      out.painted(fitted, drawnLines);
      drawnLines = fitted.length;
    },
  };
}
