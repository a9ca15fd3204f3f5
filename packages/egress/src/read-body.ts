import type { IncomingMessage } from "node:http";
import type { Clock } from "@fairlead/kernel";
import { EgressError } from "./errors.ts";
import type { EgressLimits } from "./limits.ts";

/**
 * The body as it comes, counted. Ends with an error as soon as a cap is passed, so no more than `maxResponseBytes` and one
 * chunk are ever held.
 * @throws EgressError `response_too_large` · `response_too_slow` · `unreachable`
 */
export async function* readBody(
  response: IncomingMessage,
  limits: EgressLimits,
  clock: Clock,
): AsyncGenerator<Buffer, void, undefined> {
  const declared = Number(response.headers["content-length"] ?? 0);
  if (declared > limits.maxResponseBytes) throw tooLarge(limits.maxResponseBytes);
  let received = 0;
  let window = { atMs: clock.monotonicMs(), received: 0 };
  const watch = setInterval(() => {
    const nowMs = clock.monotonicMs();
    const elapsedS = (nowMs - window.atMs) / 1_000;
    const isFast = received - window.received >= limits.minBytesPerSecond * elapsedS;
    // What the reader does not take is not the other side's slowness.
    if (!isFast && response.readableLength === 0) {
      response.destroy(new EgressError("response_too_slow", `less than ${limits.minBytesPerSecond} bytes per second`));
    }
    window = { atMs: nowMs, received };
  }, limits.speedWindowMs);
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      received += chunk.length;
      if (received > limits.maxResponseBytes) throw tooLarge(limits.maxResponseBytes);
      yield chunk;
    }
  } finally {
    clearInterval(watch);
    response.destroy();
  }
}

function tooLarge(maxBytes: number): EgressError {
  return new EgressError("response_too_large", `the answer is longer than ${maxBytes} bytes`);
}
