export interface FailingModel {
  readonly slot: string;
  /** The digest that the file should have. */
  readonly digest: string;
}

export interface FoundModel extends FailingModel {
  readonly actual: string | null;
}

export type ModelVerdict =
  | { readonly kind: "failed"; readonly slot: string; readonly digest: string; readonly actual: string | null }
  /** `repaired`: the very file that failed is right; otherwise the slot has another build, whose file is right. */
  | { readonly kind: "restored"; readonly slot: string; readonly digest: string; readonly repaired: boolean };

/** What is new about the slots' files. A slot that is no longer listed is forgotten without a word. */
export function judgeModels(
  failing: readonly FailingModel[],
  found: readonly FoundModel[],
): { readonly failing: readonly FailingModel[]; readonly verdicts: readonly ModelVerdict[] } {
  const verdicts: ModelVerdict[] = [];
  const next: FailingModel[] = [];
  for (const { slot, digest, actual } of found) {
    const before = failing.find((model) => model.slot === slot);
    if (actual !== digest) {
      next.push({ slot, digest });
      if (before?.digest !== digest) verdicts.push({ kind: "failed", slot, digest, actual });
    } else if (before !== undefined) {
      verdicts.push({ kind: "restored", slot, digest, repaired: before.digest === digest });
    }
  }
  return { failing: next, verdicts };
}
