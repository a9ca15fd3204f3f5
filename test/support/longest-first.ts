import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files that mostly wait for time to pass. Begun last, they alone would make the run longer. */
const waiting = ["short-lived-certificates", "random-kills", "webhooks", "clones"];

const toRank = ({ moduleId }: TestSpecification): number => {
  const rank = waiting.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
  return rank === -1 ? waiting.length : rank;
};

/** The usual order, but for those that wait. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((left, right) => toRank(left) - toRank(right));
  }
}
