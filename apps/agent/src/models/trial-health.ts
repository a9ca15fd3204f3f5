export interface TrialCounts {
  readonly requests: number;
  /** Errors that the build itself is to blame for: runtime, deadline, crash. */
  readonly errors: number;
}

/** Judges a build on trial by its own errors: at least five of them and more than five percent of its requests. */
export function createTrialHealth(
  limits: { readonly minErrors: number; readonly maxErrorRatio: number } = { minErrors: 5, maxErrorRatio: 0.05 },
): {
  begin(): void;
  /** @returns why the build is unhealthy, or null */
  add(counts: TrialCounts): string | null;
} {
  let requests = 0;
  let errors = 0;
  return {
    begin() {
      requests = 0;
      errors = 0;
    },
    add(counts) {
      requests += counts.requests;
      errors += counts.errors;
      const bad = errors >= limits.minErrors && errors > requests * limits.maxErrorRatio;
      return bad ? `${errors} of ${requests} requests failed in the model` : null;
    },
  };
}
