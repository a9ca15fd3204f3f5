import { CodedError } from "@fairlead/kernel";
import { streamEventSchema, type HttpErrorCode } from "@fairlead/protocol";
import type { Store, StreamEventRow } from "@fairlead/store";
import * as z from "zod";
import type { Scope } from "../../authority/scope.ts";
import { createScopeView } from "../../authority/scope-view.ts";
import type { OpenStreamFeed } from "../../events/stream-feed.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

const maxListeners = 200;
/** Of one token, session owner or person: browsers' tabs and watching commands. */
const maxListenersEach = 50;
const heartbeatMs = 15_000;
const pageSize = 200;

function toFrame(row: StreamEventRow): string {
  const { kind, subject, tsMs } = row;
  return `id: ${row.id}\nevent: ${kind}\ndata: ${JSON.stringify(streamEventSchema.parse({ kind, subject, tsMs }))}\n\n`;
}

/** Judged as things are now: a device that has left a scope is not heard of there any more. */
async function toFrames(store: Store, scope: Scope, rows: readonly StreamEventRow[]): Promise<string> {
  const view = createScopeView(store.read, scope);
  const frames: string[] = [];
  for (const row of rows) if (await view.hasEvent(row)) frames.push(toFrame(row));
  return frames.join("");
}

/** Where a listener begins: after what it saw last; from now when it saw nothing. `isLost`: events between are gone. */
async function toStart(store: Store, lastEventId: string | null): Promise<{ position: number; isLost: boolean }> {
  const range = await store.read.streamEvents.getRange();
  const last = range?.last ?? 0;
  if (lastEventId === null) return { position: last, isLost: false };
  const seen = /^\d{1,15}$/u.test(lastEventId) ? Number(lastEventId) : -1;
  const isLost = seen < 0 || seen > last || seen < (range?.first ?? 1) - 1;
  return isLost ? { position: last, isLost } : { position: seen, isLost };
}

/** Pull-driven: nothing is read from the store before the client has taken what it got, so a slow one costs nothing. */
function createEventStream(
  {
    store,
    feed,
    scope,
    mayStill,
    take,
  }: {
    readonly store: Store;
    readonly feed: OpenStreamFeed;
    readonly scope: Scope;
    readonly mayStill: () => Promise<boolean>;
    /** Takes a place among the listeners, when the first bytes are read: whoever never reads holds none. */
    readonly take: () => () => void;
  },
  start: { position: number; isLost: boolean },
) {
  const encoder = new TextEncoder();
  let { position } = start;
  let wake: () => void = () => undefined;
  let isClosed = false;
  let leave: (() => void) | undefined;
  const begin = () => {
    if (leave !== undefined || isClosed) return;
    const giveBack = take();
    const unsubscribe = feed.onStored(() => wake());
    leave = () => {
      unsubscribe();
      giveBack();
    };
  };
  /** However it ends: by the client, by its connection, or here because it may not listen any more. */
  const close = () => {
    if (isClosed) return;
    isClosed = true;
    leave?.();
    wake();
  };
  /** Waits for the next bytes. */
  const next = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    while (!isClosed) {
      const stored = new Promise<"stored">((resolve) => {
        wake = () => resolve("stored");
      });
      // A token that was revoked, or a session that ended, hears nothing more.
      if (!(await mayStill())) {
        close();
        controller.close();
        return;
      }
      const rows = await store.read.streamEvents.listAfter(position, pageSize);
      const last = rows.at(-1);
      if (last !== undefined) {
        position = last.id;
        const frames = await toFrames(store, scope, rows);
        if (frames === "") continue;
        controller.enqueue(encoder.encode(frames));
        return;
      }
      let timer: NodeJS.Timeout | undefined;
      const idle = new Promise<"idle">((resolve) => {
        timer = setTimeout(resolve, heartbeatMs, "idle");
      });
      const woken = await Promise.race([stored, idle]);
      clearTimeout(timer);
      if (woken === "stored" || isClosed) continue;
      controller.enqueue(encoder.encode(": alive\n\n"));
      return;
    }
  };
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => {
      const reset = start.isLost ? `id: ${position}\nevent: reset\ndata: {}\n\n` : `id: ${position}\n: listening\n\n`;
      controller.enqueue(encoder.encode(`retry: 1000\n${reset}`));
    },
    pull: async (controller) => {
      begin();
      try {
        await next(controller);
      } catch (error) {
        close();
        throw error;
      }
    },
    cancel: close,
  });
  return { stream, close };
}

export function createEventRoutes(store: Store, feed: OpenStreamFeed): AnyRoute[] {
  const listeners = new Map<string, number>();
  const countAll = (): number => [...listeners.values()].reduce((sum, count) => sum + count, 0);
  const take = (actor: string) => () => {
    listeners.set(actor, (listeners.get(actor) ?? 0) + 1);
    return () => {
      const left = (listeners.get(actor) ?? 1) - 1;
      if (left > 0) listeners.set(actor, left);
      else listeners.delete(actor);
    };
  };
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/events",
      summary:
        "Live changes as server-sent events; `Last-Event-ID` resumes. `reset` says that events are gone: read all anew.",
      permission: "read",
      reach: "narrowed",
      request: { query: z.strictObject({}) },
      response: null,
      timeoutMs: null,
      handle: async ({ actor, headers, mayStill, scope, signal }) => {
        if (countAll() >= maxListeners || (listeners.get(actor) ?? 0) >= maxListenersEach) {
          throw new CodedError<HttpErrorCode>("unavailable", "too many listeners", { hint: "close another one" });
        }
        const start = await toStart(store, headers.get("last-event-id"));
        const { stream, close } = createEventStream({ store, feed, scope, mayStill, take: take(actor) }, start);
        if (signal.aborted) close();
        else signal.addEventListener("abort", close, { once: true });
        return new Response(stream, { headers: { "content-type": "text/event-stream", "x-accel-buffering": "no" } });
      },
    }),
  ];
}
