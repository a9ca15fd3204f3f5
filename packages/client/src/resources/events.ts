import { toBackoffDelayMs } from "@fairlead/kernel";
import { streamEventSchema, type StreamEvent } from "@fairlead/protocol";
import { ClientError } from "../errors.ts";
import { createSseParser } from "../sse-parser.ts";
import type { Transport } from "../transport.ts";

export interface ReceivedEvent {
  /** Position to resume from; null when the server gave none. */
  readonly id: string | null;
  readonly event: StreamEvent;
}

/** A refusal (4xx) stays one however often it is asked; a busy or absent server does not. */
const isFinal = ({ code, status }: ClientError): boolean =>
  code === "server_untrusted" || (status !== null && status >= 400 && status < 500 && status !== 408 && status !== 429);

function parseData(data: string): StreamEvent | null {
  try {
    const parsed = streamEventSchema.safeParse(JSON.parse(data));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

function waitMs(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    signal.addEventListener("abort", done, { once: true });
  });
}

/**
 * `GET /api/v1/events`: yields every event from `lastEventId` on and resumes by itself after a broken connection.
 * Ends when `signal` is aborted.
 * @throws ClientError when the server refuses (authentication, permission, no such endpoint) or cannot be trusted.
 */
export async function* readEvents(
  transport: Transport,
  lastEventId: string | null,
  signal: AbortSignal,
): AsyncGenerator<ReceivedEvent, void, undefined> {
  let position = lastEventId;
  for (let failures = 0; !signal.aborted; failures += 1) {
    try {
      const response = await transport.send({
        method: "GET",
        path: ["events"],
        headers: { accept: "text/event-stream", ...(position === null ? {} : { "last-event-id": position }) },
        signal,
        timeoutMs: null,
      });
      const parser = createSseParser();
      const decoder = new TextDecoder();
      for await (const chunk of response.body ?? []) {
        for (const received of parser.feed(decoder.decode(chunk, { stream: true }))) {
          position = received.id ?? position;
          failures = 0;
          const event = parseData(received.data);
          if (event !== null) yield { id: received.id, event };
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ClientError && isFinal(error)) throw error;
    }
    await waitMs(toBackoffDelayMs({ baseMs: 250, maxMs: 10_000 }, failures, Math.random()), signal);
  }
}
