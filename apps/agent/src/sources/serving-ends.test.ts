import { describe, expect, it } from "vitest";
import type { SlotView } from "../models/slot-ports.ts";
import { isSuspected, ServingEnds, toServingEnd, type ServingEnd } from "./serving-ends.ts";

const end = (parts: Partial<ServingEnd>): ServingEnd => ({ requested: false, named: false, ran: [], ...parts });
const { signal } = new AbortController();

describe("the end of the serving process", () => {
  it("is laid to a waiting input only when its model ran", () => {
    const queued = { model: "m", queued: true };
    expect(isSuspected(queued, end({ named: true, ran: ["m"] }))).toBe(true);
    expect(isSuspected(queued, end({ named: true, ran: ["other"] }))).toBe(false);
    expect(isSuspected(queued, end({}))).toBe(false);
    expect(isSuspected(queued, end({ requested: true, named: true, ran: ["m"] }))).toBe(false);
  });

  it("is laid to an input that was not read yet when nothing else is known to have run", () => {
    const unread = { model: "m", queued: false };
    expect(isSuspected(unread, end({}))).toBe(true);
    expect(isSuspected(unread, end({ named: true }))).toBe(false);
    expect(isSuspected(unread, null)).toBe(true);
  });

  it("names the served models that ran or hung", () => {
    const view = (model: string, servedLoadId: string | null) =>
      ({ served: { model }, servedLoadId }) as Pick<SlotView, "served" | "servedLoadId">;
    const views = [view("a", "1"), view("b", "2"), view("c", "3"), view("d", null)];
    const exit = { cause: "hang", inflight: ["1", "9"], hungLoadId: "2" } as const;
    expect(toServingEnd(exit, views)).toEqual({ requested: false, named: true, ran: ["a", "b"] });
  });

  it("is found whether it is told before or after it is asked for, and is the first since the asking began", async () => {
    const ends = new ServingEnds();
    ends.note(end({ ran: ["before"] }));
    const { count } = ends;
    const asked = ends.after(count, signal);
    ends.note(end({ ran: ["first"] }));
    ends.note(end({ ran: ["second"] }));
    expect(await asked).toEqual(end({ ran: ["first"] }));
    expect(await ends.after(count, signal)).toEqual(end({ ran: ["first"] }));
  });
});
