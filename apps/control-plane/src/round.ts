import { setImmediate } from "node:timers/promises";

/** Of what a controller decides, so much is one transaction: whoever else wants to write waits for it. The rest is decided anew. */
export const maxPerRound = 500;
/** After so many the others have a turn: messages, answers, and whoever only reads. */
const breathAfter = 50;

/** Does them one after another. */
export async function doInTurns<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  for (const [index, item] of items.entries()) {
    if (index % breathAfter === breathAfter - 1) await setImmediate();
    await work(item);
  }
}
