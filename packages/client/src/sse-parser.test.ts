import fc from "fast-check";
import { expect, it } from "vitest";
import { createSseParser } from "./sse-parser.ts";

const text = ": hello\r\n\r\nid: 7\nevent: rollout\ndata: a\ndata:  b\n\ndata\n\nretry: 5\nid: 8\rdata:x\r\r\n";
const events = [
  { id: "7", event: "rollout", data: "a\n b" },
  { id: "7", event: "message", data: "" },
  { id: "8", event: "message", data: "x" },
];

it("reads fields, comments and every line ending", () => {
  expect(createSseParser().feed(text)).toEqual(events);
});

it("gives the same events however the text is cut", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(text.length), { maxLength: 12 }), (cuts) => {
      const parser = createSseParser();
      const points = [0, ...cuts.toSorted((left, right) => left - right), text.length];
      const pieces = points.slice(1).map((end, index) => text.slice(points[index], end));
      expect(pieces.flatMap((piece) => parser.feed(piece))).toEqual(events);
    }),
  );
});

it("gives nothing for an event that is not complete and refuses an endless one", () => {
  const parser = createSseParser();
  expect(parser.feed("data: half")).toEqual([]);
  expect(() => parser.feed("x".repeat(1_100_000))).toThrow(RangeError);
});
