export interface WorkThrough {
  /** Names that are worked on at once. */
  readonly parallel: number;
  readonly signal: AbortSignal;
  /** Whether something came of it. */
  readonly work: (name: string) => Promise<boolean>;
}

/** How many names something came of. After a failure nothing more begins. @throws the first failure */
export async function workThrough(names: readonly string[], options: WorkThrough): Promise<number> {
  const queue = names.values();
  const errors: unknown[] = [];
  let worked = 0;
  const work = async (): Promise<void> => {
    for (const name of queue) {
      if (options.signal.aborted || errors.length > 0) return;
      try {
        if (await options.work(name)) worked += 1;
      } catch (error) {
        errors.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(options.parallel, names.length) }, work));
  if (errors.length > 0) throw errors[0];
  return worked;
}
