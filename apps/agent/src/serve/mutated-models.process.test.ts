import { inspectOnnxBytes } from "@fairlead/inference/inspect";
import {
  convModel,
  endlessLoopModel,
  int4Model,
  mlpModel,
  mutateModel,
  nestedIfModel,
  toModelMutation,
  upperCaseModel,
} from "@fairlead/inference/testing";
import fc from "fast-check";
import { expect, it } from "vitest";
import { digitModel, json, ServingHarness } from "./testing/serving-harness.ts";

/*
 * What the static check admits must not take the serving process along: real models with changes that keep their messages
 * whole are loaded by the real process and run once with zeros. They may be refused by the runtime and may fail; the process
 * stays the same one to the end.
 */

const models = [
  digitModel("1.0.0-fp32"),
  digitModel("1.0.0-int8"),
  mlpModel({ widths: [4, 8, 2] }),
  convModel({ height: 8, width: 8, channels: 4, depth: 2 }),
  ...[int4Model(), nestedIfModel(2), endlessLoopModel({ trips: 5n }), upperCaseModel()],
];
const place = fc.nat(1_000_000);
/** Never a cut: that is refused before the runtime sees it. */
const change = fc
  .tuple(fc.integer({ min: 1, max: 6 }), place, place)
  .map(([kind, first, second]) => toModelMutation(kind, first, second));
const mutants = fc
  .tuple(fc.constantFrom(...models), change, change)
  .map(([model, first, last]) => mutateModel(mutateModel(model, first), last));

function isAdmitted(bytes: Uint8Array): boolean {
  try {
    inspectOnnxBytes(bytes);
    return true;
  } catch {
    return false;
  }
}

interface Described {
  readonly inputs: readonly { readonly name: string; readonly datatype: string; readonly shape: readonly number[] }[];
}

/** Zeros for every input, where that is not much. */
function toZeros({ inputs }: Described): string {
  const zeros = inputs.map(({ name, datatype, shape }) => {
    const sizes = shape.map((size) => (size > 0 && size < 64 ? size : 1));
    const count = Math.min(
      4_096,
      sizes.reduce((product, size) => product * size, 1),
    );
    return { name, datatype, shape: sizes, data: Array.from({ length: count }, () => (datatype === "BYTES" ? "" : 0)) };
  });
  return JSON.stringify({ inputs: zeros });
}

it("a changed model that the check admits is loaded, refused or fails by itself, and never ends the process", async () => {
  await using serving = new ServingHarness();
  const admitted = fc.sample(mutants, { numRuns: 100, seed: 26_112_026 }).filter(isAdmitted);
  const counts = { refused: 0, failed: 0, ran: 0 };
  for (const [at, bytes] of admitted.entries()) {
    const loadId = `m${at}`;
    const slot = { slot: "changed", model: "changed" };
    const answer = await serving.ask(serving.toLoad(loadId, bytes, slot));
    if (!answer.ok) {
      counts.refused += 1;
      continue;
    }
    await serving.must({ kind: "activate", slot: slot.slot, loadId });
    const described = await serving.http({ path: "/v2/models/changed" });
    const { status } = await serving.http({
      path: "/v2/models/changed/infer",
      body: toZeros(json(described.bytes) as Described),
    });
    counts[status === 200 ? "ran" : "failed"] += 1;
    await serving.must({ kind: "stop-serving", slot: slot.slot, reason: "the next one comes" });
    await serving.must({ kind: "unload", loadId });
  }
  expect(serving.child.exitCode).toBeNull();
  expect((await serving.http({ path: "/v2/health/ready" })).status).toBe(200);
  expect(serving.events.filter(({ kind }) => kind === "hung")).toEqual([]);
  // Each of the three is reached, or the changes are not what they are meant to be.
  expect(Math.min(counts.refused, counts.failed, counts.ran), JSON.stringify(counts)).toBeGreaterThan(0);
}, 120_000);
