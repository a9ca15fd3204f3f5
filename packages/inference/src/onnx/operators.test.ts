import { InferenceSession } from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { buildOnnxModel } from "../testing/onnx-writer.ts";
import { knownDomains, toDomain, toKnownOperators } from "./operators.ts";

const newest: Readonly<Record<string, number>> = { "ai.onnx": 26, "ai.onnx.ml": 5, "com.microsoft": 1 };

/** A model of this one node; the runtime says first whether it knows the operator, then what else is wrong. */
async function complaintOf(domain: string, op: string): Promise<string> {
  const value = (name: string) => ({ name, type: "float32" as const, shape: [4] });
  const own = { domain: toDomain(domain), version: newest[domain] ?? 1 };
  const model = buildOnnxModel({
    irVersion: 10,
    opsets: own.domain === "" ? [own] : [{ domain: "", version: 21 }, own],
    graph: {
      nodes: [{ op, domain: own.domain, inputs: ["x"], outputs: ["y"] }],
      inputs: [value("x")],
      outputs: [value("y")],
    },
  });
  try {
    await (await InferenceSession.create(model, { logSeverityLevel: 4, intraOpNumThreads: 1 })).release();
    return "";
  } catch (error) {
    return String(error);
  }
}

describe("the list of operators", () => {
  it.each(knownDomains)(
    "of %s holds only what the runtime has",
    async (domain) => {
      const unknown = /No Op registered|is not a registered/u;
      const strangers: string[] = [];
      for (const operator of toKnownOperators(domain))
        if (unknown.test(await complaintOf(domain, operator))) strangers.push(operator);
      expect(strangers).toEqual([]);
      expect(await complaintOf(domain, "Explode")).toMatch(unknown);
    },
    30_000,
  );
});
