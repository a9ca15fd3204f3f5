import type { Verdict } from "@fairlead/protocol";

/** The gate that every stage has: nothing passes before it soaked. The texts hold no running time, so they settle. */
export function judgeSoak(soakMs: number, elapsedMs: number | null): Verdict {
  const base = { gate: "soak", value: null, threshold: soakMs, control: null, samples: null };
  const span = `${soakMs / 1_000} s`;
  if (elapsedMs === null)
    return { ...base, kind: "wait", code: "not_soaking", why: `soaks for ${span} once devices succeed` };
  return elapsedMs >= soakMs
    ? { ...base, kind: "pass", code: "soaked", why: `soaked for ${span}` }
    : { ...base, kind: "wait", code: "soaking", why: `soaks for ${span} in all` };
}
