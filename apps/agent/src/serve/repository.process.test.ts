import { expect, it } from "vitest";
import { digitModel, json, ServingHarness } from "./testing/serving-harness.ts";

const load = "/v2/repository/models/digit-reader/load";
const toError = (bytes: Buffer): string => (JSON.parse(bytes.toString()) as { error: string }).error;

it("asks the supervisor for what a client wants, and answers with what became of it", async () => {
  await using serving = new ServingHarness({ repository: true });
  const asking = serving.http({ path: load, body: JSON.stringify({ parameters: { unload_dependents: false } }) });
  const { askId, ...asked } = await serving.event("repository");
  expect(asked).toMatchObject({ ask: "load", model: "digit-reader" });
  await serving.must({ kind: "repository-done", askId, refusal: null });
  expect(await asking).toMatchObject({ status: 200 });
  const refused = serving.http({ path: load.replace(/load$/u, "unload"), body: "" });
  await expect.poll(() => serving.events.filter(({ kind }) => kind === "repository")).toHaveLength(2);
  await serving.must({ kind: "repository-done", askId: askId + 1, refusal: "no slot is assigned it" });
  const answer = await refused;
  expect([answer.status, toError(answer.bytes)]).toEqual([400, "no slot is assigned it"]);
  // An answer to a question that nobody asks any more changes nothing.
  await serving.must({ kind: "repository-done", askId: 999, refusal: null });
});

it.each<[string, string, number, RegExp]>([
  [
    "a configuration of its own",
    JSON.stringify({ parameters: { config: "{}" } }),
    403,
    /parameter 'config' is refused/u,
  ],
  ["a file", JSON.stringify({ parameters: { "file:1/model.onnx": "AAAA" } }), 403, /signed desired state assigns/u],
  ["no JSON", "{", 400, /failed to parse/u],
  ["a list", "[1]", 400, /no JSON object/u],
  ["parameters that are none", JSON.stringify({ parameters: 3 }), 400, /no JSON object/u],
])("refuses a load with %s", async (...[, body, status, message]) => {
  await using serving = new ServingHarness({ repository: true });
  const answer = await serving.http({ path: load, body });
  expect(answer.status).toBe(status);
  expect(answer.bytes.toString()).toMatch(message);
});

it("allows none of it unless the device's configuration does, and asks nobody", async () => {
  await using serving = new ServingHarness();
  await serving.serve(serving.toLoad("a", digitModel("1.1.0-int8")));
  const answer = await serving.http({ path: load, body: "{}" });
  expect([answer.status, toError(answer.bytes)]).toEqual([
    403,
    expect.stringContaining("set inference.repository to allow"),
  ]);
  expect(serving.events.map(({ kind }) => kind)).not.toContain("repository");
  const index = await serving.http({ path: "/v2/repository/index", body: "" });
  expect(json(index.bytes)).toMatchObject([{ name: "digit-reader", state: "READY" }]);
});
