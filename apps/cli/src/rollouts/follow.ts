import { ClientError, type Client } from "@fairlead/client";
import type { RolloutStatus } from "@fairlead/protocol";
import { exitByRolloutState } from "./outcome.ts";

export type FollowEnd =
  | { readonly kind: "ended"; readonly status: RolloutStatus }
  | { readonly kind: "timed-out"; readonly status: RolloutStatus | null };

/** Even while events arrive it is read this often: they may be lost, and times in the tree move. */
const pollMs = 2_000;
const minGapMs = 200;

/**
 * Shows the rollout on every change until it ends or time is up. Events say when to look; reading on a timer is the
 * fallback. A server that is away for a moment (restart) is waited for.
 */
export async function followRollout(options: {
  readonly client: Client;
  readonly rolloutId: string;
  readonly timeoutMs: number | null;
  readonly signal: AbortSignal;
  readonly show: (status: RolloutStatus) => void;
  readonly warn: (message: string) => void;
}): Promise<FollowEnd> {
  const { client, rolloutId } = options;
  const stop = new AbortController();
  const limit = options.timeoutMs === null ? null : AbortSignal.timeout(options.timeoutMs);
  const signal = AbortSignal.any([options.signal, stop.signal, ...(limit === null ? [] : [limit])]);
  let wake = (): void => undefined;
  const listening = (async () => {
    for await (const { event } of client.events(null, signal))
      if (event.kind === "rollout" || event.kind === "device") wake();
  })().catch(() => undefined);

  let status: RolloutStatus | null = null;
  let away = false;
  try {
    while (!signal.aborted) {
      try {
        status = await client.rollouts.get(rolloutId, signal);
        away = false;
        options.show(status);
        if (exitByRolloutState[status.state] !== null) return { kind: "ended", status };
      } catch (error) {
        if (signal.aborted) break;
        const passing =
          error instanceof ClientError && ["server_unreachable", "request_timeout", "unavailable"].includes(error.code);
        if (!passing || status === null) throw error;
        if (!away) options.warn(`${error.message}; trying again`);
        away = true;
      }
      await new Promise<void>((resolve) => setTimeout(resolve, minGapMs));
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pollMs);
        wake = () => (clearTimeout(timer), resolve());
        signal.addEventListener("abort", wake, { once: true });
        if (signal.aborted) wake();
      });
    }
  } finally {
    stop.abort();
    await listening;
  }
  options.signal.throwIfAborted();
  return { kind: "timed-out", status };
}
