import { registerVersionRequestSchema, type GoldenSet, type Inspection } from "@fairlead/protocol";
import type { ArtifactRow } from "@fairlead/store";
import { describe, expect, test } from "vitest";
import {
  requireDistinctTargets,
  requireFittingGolden,
  requireMeasurableChoice,
  requireModestSize,
  requireOneInterface,
  toModelVersion,
} from "./check-version.ts";

const digestA = `sha256:${"a".repeat(64)}`;
const digestB = `sha256:${"b".repeat(64)}`;
const digestG = `sha256:${"c".repeat(64)}`;

function toRow(digest: string, change: Partial<Inspection> = {}): ArtifactRow {
  const inspection: Inspection = {
    irVersion: 8,
    producerName: "",
    opsets: [],
    inputs: [{ name: "image", elementType: "float32", shape: ["batch", 4] }],
    outputs: [{ name: "probabilities", elementType: "float32", shape: ["batch", 3] }],
    parameterCount: 1,
    weightBytes: 4,
    nodeCount: 1,
    operators: {},
    precision: "fp32",
    quantization: "none",
    ...change,
  };
  return { digest, sizeBytes: 10, kind: "onnx", inspection, createdAtMs: 0, createdBy: "admin:a" };
}
const golden: ArtifactRow = { ...toRow(digestG), kind: "golden", inspection: null };

function toRequest(change: object = {}) {
  const builds = [{ digest: digestA, target: {} }];
  return registerVersionRequestSchema.parse({ version: "1.0.0", builds, ...change });
}
const twoBuilds = (first: object, second: object) => ({
  builds: [
    { digest: digestA, target: first },
    { digest: digestB, target: second },
  ],
});

describe("a version", () => {
  test("takes shapes, precision and sizes from its files", () => {
    const content = toModelVersion("reader", toRequest(), [toRow(digestA)]);
    expect(content.builds[0]).toMatchObject({ artifact: { digest: digestA, sizeBytes: 10 }, precision: "fp32" });
    expect(content.builds[0]?.inputs[0]?.name).toBe("image");
  });

  test("is no larger than devices take in one message, and says what makes it large", () => {
    const toLabels = (count: number) => Array.from({ length: count }, (_, index) => `label number ${index}`);
    const toContent = (count: number) =>
      toModelVersion("reader", toRequest({ classification: { output: "probabilities", labels: toLabels(count) } }), [
        toRow(digestA, { outputs: [{ name: "probabilities", elementType: "float32", shape: ["batch", count] }] }),
      ]);
    expect(() => requireModestSize(toContent(1_000))).not.toThrow();
    expect(() => requireModestSize(toContent(10_000))).toThrow(/its labels take \d{6} bytes/u);
  });

  test("names every file that is missing", () => {
    const request = toRequest({ ...twoBuilds({}, {}), selfTest: { goldenDigest: digestG } });
    expect(() => toModelVersion("reader", request, [toRow(digestA)])).toThrow(
      expect.objectContaining({ code: "artifact_unknown", details: { missing: [digestB, digestG] } }),
    );
  });

  test("cannot use a golden set as a model, nor a model as a golden set", () => {
    const invalid = expect.objectContaining({ code: "validation_failed" });
    expect(() => toModelVersion("reader", toRequest({ builds: [{ digest: digestG, target: {} }] }), [golden])).toThrow(
      invalid,
    );
    const request = toRequest({ selfTest: { goldenDigest: digestA } });
    expect(() => toModelVersion("reader", request, [toRow(digestA)])).toThrow(invalid);
  });

  test("is refused when one file is listed twice for the same target, and both are named", () => {
    const builds = [
      { digest: digestA, target: { arch: ["x64"] } },
      { digest: digestA, target: { arch: ["x64", "arm64"] } },
    ];
    const content = toModelVersion("reader", toRequest({ builds }), [toRow(digestA)]);
    expect(() => requireDistinctTargets(content)).toThrow(expect.objectContaining({ code: "duplicate_target" }));
    expect(() => requireDistinctTargets(content)).toThrow(/builds\.0 .* and builds\.1 /u);
  });

  test("is refused when two files claim the same target and nobody says how a device chooses", () => {
    const content = toModelVersion("reader", toRequest(twoBuilds({}, {})), [toRow(digestA), toRow(digestB)]);
    expect(() => requireDistinctTargets(content)).toThrow(
      expect.objectContaining({ code: "duplicate_target", hint: expect.stringContaining("--objective") }),
    );
  });

  test("may have different builds for the same target, between which the device chooses by the version's policy", () => {
    const choice = { objective: "energy", accuracyFloor: 0.9 };
    const request = toRequest({ ...twoBuilds({}, {}), choice, selfTest: { goldenDigest: digestG } });
    const content = toModelVersion("reader", request, [toRow(digestA), toRow(digestB), golden]);
    requireDistinctTargets(content);
    requireMeasurableChoice(content);
    expect(content.choice).toEqual(choice);
  });

  test("cannot ask for accuracy without a golden set", () => {
    for (const choice of [
      { objective: "accuracy", accuracyFloor: null },
      { objective: "latency", accuracyFloor: 0.9 },
    ]) {
      const content = toModelVersion("reader", toRequest({ choice }), [toRow(digestA)]);
      expect(() => requireMeasurableChoice(content)).toThrow("has no golden set");
    }
  });

  test("may have one build for each architecture", () => {
    const request = toRequest(twoBuilds({ arch: ["x64"] }, { arch: ["arm64"] }));
    const content = toModelVersion("reader", request, [toRow(digestA), toRow(digestB)]);
    requireDistinctTargets(content);
    requireOneInterface(content);
  });

  test("is refused when its builds differ in what they take", () => {
    const other = toRow(digestB, { inputs: [{ name: "pixels", elementType: "float32", shape: [1] }] });
    const request = toRequest(twoBuilds({ arch: ["x64"] }, { arch: ["arm64"] }));
    const content = toModelVersion("reader", request, [toRow(digestA), other]);
    expect(() => requireOneInterface(content)).toThrow("its inputs are pixels, those of builds.0 are image");
  });
});

describe("a classification", () => {
  const classify = (output: string, labels: readonly string[], shape: (number | string)[] = ["batch", 3]) => {
    const row = toRow(digestA, { outputs: [{ name: "probabilities", elementType: "float32", shape }] });
    requireOneInterface(toModelVersion("reader", toRequest({ classification: { output, labels } }), [row]));
  };

  test("must name an output that exists", () => {
    expect(() => classify("logits", ["a", "b", "c"])).toThrow("has no output logits; it has probabilities");
  });

  test("must have as many labels as the output has values", () => {
    expect(() => classify("probabilities", ["a", "b"])).toThrow("2 labels, but output probabilities");
    classify("probabilities", ["a", "b", "c"]);
    classify("probabilities", ["a", "b"], ["batch", "classes"]);
  });
});

describe("a golden set", () => {
  const tensor = { datatype: "FP32" as const, shape: [1], data: [1] };
  const toGolden = (inputs: string, outputs: string): GoldenSet => ({
    v: 1,
    cases: [
      {
        name: "one",
        inputs: { [inputs]: tensor },
        outputs: { [outputs]: tensor },
        toleranceAbs: 0,
        toleranceRel: 0,
      },
    ],
  });
  const content = toModelVersion("reader", toRequest(), [toRow(digestA)]);

  test("must name the model's own tensors", () => {
    requireFittingGolden(content, toGolden("image", "probabilities"));
    expect(() => requireFittingGolden(content, toGolden("pixels", "probabilities"))).toThrow("has no input image");
    expect(() => requireFittingGolden(content, toGolden("image", "logits"))).toThrow("names unknown logits");
  });
});
