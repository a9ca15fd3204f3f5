import { describe, expect, it } from "vitest";
import type { ServingAddress } from "../serve/ipc.ts";
import { answerMessage } from "./message-answer.ts";
import { ModelAsker } from "./model-asker.ts";
import type { ServingEnds } from "./serving-ends.ts";
import { FakeEndpoint, noEnds, type Fate } from "./testing/fake-endpoint.ts";

const answered = { status: 200, body: '{"outputs":[]}' };

type Ends = Pick<ServingEnds, "count" | "after">;

async function answer(
  payload: string,
  address: () => ServingAddress | null,
  ends: Ends = noEnds,
): Promise<{ text: string; waits: number }> {
  const { signal } = new AbortController();
  const asked = { model: "m", slot: null, serves: () => null };
  const asker = new ModelAsker({ ...asked, client: "c", priority: "normal", address, ends, signal });
  let waits = 0;
  const wait = async () => void (waits += 1);
  const options = { asker, wait, random: () => 0, onWait: () => undefined };
  return { text: Buffer.from(await answerMessage(options, Buffer.from(payload))).toString(), waits };
}

describe("a message", () => {
  it.each<Fate>(["break", { status: 504, body: '{"error":"late"}' }])(
    "that ends in %o each time is answered with an error after three attempts",
    async (fate) => {
      await using endpoint = new FakeEndpoint((body) => (body === "evil" ? fate : answered));
      const at = await endpoint.listen();
      const { text } = await answer("evil", () => at);
      expect(JSON.parse(text)).toEqual({ error: expect.stringContaining("given up after 3 attempts") });
      expect(endpoint.count("evil")).toBe(3);
      expect((await answer("good", () => at)).text).toBe(answered.body);
    },
  );

  it("waits as long as nothing serves, and as long as others are served first", async () => {
    let refusals = 0;
    await using endpoint = new FakeEndpoint(() => ((refusals += 1) > 30 ? answered : { status: 503, body: "" }));
    const at = await endpoint.listen();
    let looks = 0;
    const { text, waits } = await answer("good", () => ((looks += 1) > 30 ? at : null));
    expect([text, waits]).toEqual([answered.body, 60]);
  });

  it("that breaks once, with a process that was about to end, is answered after all", async () => {
    await using endpoint = new FakeEndpoint(() => (endpoint.asked.length === 1 ? "break" : answered));
    const at = await endpoint.listen();
    expect(await answer("good", () => at)).toEqual({ text: answered.body, waits: 1 });
  });

  it("waits without counting while connections are refused", async () => {
    const endpoint = new FakeEndpoint(() => answered);
    const gone = await endpoint.listen();
    await endpoint[Symbol.asyncDispose]();
    await using next = new FakeEndpoint(() => answered);
    const at = await next.listen();
    let looks = 0;
    const { text, waits } = await answer("good", () => ((looks += 1) > 9 ? at : gone));
    expect([text, waits]).toEqual([answered.body, 9]);
  });

  it("that begins like JSON and is none is the content of the input, if the input can take it", async () => {
    await using endpoint = new FakeEndpoint(() => answered);
    const at = await endpoint.listen();
    expect((await answer("{123", () => at)).text).toBe(answered.body);
    expect(endpoint.asked.map(({ body }) => body)).toEqual(["{123"]);
    expect(JSON.parse((await answer("{12345", () => at)).text)).toEqual({ error: "it is no JSON" });
    expect(JSON.parse((await answer('{"parameters":7}', () => at)).text)).toEqual({
      error: "it is no inference request",
    });
  });

  it("that waited while other models ended the process is answered, and one whose model ran is given up", async () => {
    await using endpoint = new FakeEndpoint(() => (endpoint.asked.length <= 9 ? "break" : answered));
    const at = await endpoint.listen();
    const toEnds = (ran: string): Ends => ({
      count: 0,
      after: async () => ({ requested: false, named: true, ran: [ran] }),
    });
    expect(await answer("good", () => at, toEnds("other"))).toEqual({ text: answered.body, waits: 9 });
    endpoint.asked.length = 0;
    const { text } = await answer("evil", () => at, toEnds("m"));
    expect(JSON.parse(text)).toEqual({ error: expect.stringContaining("given up after 3 attempts") });
  });
});
