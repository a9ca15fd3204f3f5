import { describe, expect, it } from "vitest";
import type { InferenceRuntime } from "../port.ts";
import { giveUpAtDeadline, type DeadlineOutcome } from "./deadline-case.ts";
import { encodeStrings } from "../string-data.ts";
import { toDataElements, type Datatype, type Tensor, type TensorData } from "../tensor.ts";

export interface RuntimeContract {
  createRuntime(): InferenceRuntime;
  /** What loads ask for; default ["cpu"]. */
  readonly providers?: readonly string[];
  /** `x` FP32 [-1, 4] → `y` FP32 [-1, 4] = x + x. */
  doublingModel(): Uint8Array<ArrayBuffer>;
  /** Same edge; one run takes between 0.3 and 4 seconds. */
  slowModel(): Uint8Array<ArrayBuffer>;
  /** Runs the deadline case in another process, where this one does not survive a hung run. */
  readonly giveUpElsewhere?: (asked: {
    readonly model: Uint8Array<ArrayBuffer>;
    readonly providers: readonly string[];
  }) => Promise<DeadlineOutcome>;
  /** `x` FP32 [4] → fails at run time although it loads. */
  failingModel(): Uint8Array<ArrayBuffer>;
  /** `x` of that datatype [-1] → `y`, the same. */
  identityModel(datatype: Datatype): Uint8Array<ArrayBuffer>;
  /** Those that it refuses when it loads, since it has no tensor of them. Default none. */
  readonly refusedDatatypes?: readonly Datatype[];
  /** Whether it can say where a model runs. Default true. */
  readonly proves?: boolean;
  readonly loadDeadlineMs?: number;
  /** Whether a run past its deadline is ended with its server, so that the model can be closed. Default false. */
  readonly recovers?: boolean;
}

const x = (values: number[], shape = [values.length / 4, 4]): Tensor => ({
  name: "x",
  datatype: "FP32",
  shape,
  data: Float32Array.from(values),
});
const code = (expected: string) => expect.objectContaining({ code: expected });
const ample = { deadlineMs: 10_000 };

/** The ends of what each holds, and what a way through doubles or text would lose. */
const samples: Readonly<Record<Datatype, TensorData>> = {
  BOOL: Uint8Array.of(1, 0),
  UINT8: Uint8Array.of(0, 255),
  UINT16: Uint16Array.of(0, 65_535),
  UINT32: Uint32Array.of(0, 4_294_967_295),
  UINT64: BigUint64Array.of(0n, 2n ** 53n + 1n, 2n ** 64n - 1n),
  INT8: Int8Array.of(-128, 127),
  INT16: Int16Array.of(-32_768, 32_767),
  INT32: Int32Array.of(-2_147_483_648, 2_147_483_647),
  INT64: BigInt64Array.of(-(2n ** 63n), -(2n ** 53n) - 1n, 7n, 2n ** 63n - 1n),
  FP16: Uint16Array.of(0xb8_00, 0x7b_ff, 0x00_01),
  BF16: Uint16Array.of(0x3f_80, 0xc0_49),
  FP32: Float32Array.of(-0.1, 3.4e38, 1e-45),
  FP64: Float64Array.of(-0.1, 1.7e308, 5e-324),
  BYTES: encodeStrings(["grün", "", 'a "quote"\n']),
};
const toBytes = ({ buffer, byteOffset, byteLength }: TensorData) => Buffer.from(buffer, byteOffset, byteLength);

/** What every runtime must do; the fake included, or tests that use it would prove nothing. */
export function describeRuntimeContract(name: string, contract: RuntimeContract): void {
  const providers = contract.providers ?? ["cpu"];
  const { loadDeadlineMs } = contract;
  const options = { providers, ...(loadDeadlineMs === undefined ? {} : { loadDeadlineMs }) };
  const load = (model: Uint8Array<ArrayBuffer>) => contract.createRuntime().load(model, options);
  describe(`runtime ${name}`, () => {
    it("tells inputs, outputs and placement of a loaded model", async () => {
      const model = await load(contract.doublingModel());
      expect(model.inputs).toEqual([{ name: "x", datatype: "FP32", shape: [-1, 4] }]);
      expect(model.outputs).toEqual([{ name: "y", datatype: "FP32", shape: [-1, 4] }]);
      const shares = contract.proves === false ? null : { [providers[0] ?? "cpu"]: 1 };
      expect(model.placement).toMatchObject({ requestedProviders: providers, shares });
      await model.close();
    });

    it("computes, keeps order and answers any batch", async () => {
      const model = await load(contract.doublingModel());
      const order: number[] = [];
      const runs = Array.from({ length: 50 }, async (_, index) => {
        const result = await model.infer([x(Array.from({ length: 4 * (1 + (index % 3)) }, () => index))], ample);
        order.push(index);
        return result;
      });
      expect(model.pending).toBe(50);
      const results = await Promise.all(runs);
      expect(order).toEqual(results.map((_, index) => index));
      for (const [index, { outputs, runUs }] of results.entries()) {
        expect(outputs[0]).toMatchObject({ name: "y", datatype: "FP32", shape: [1 + (index % 3), 4] });
        expect([...(outputs[0]?.data ?? [])]).toEqual(Array.from({ length: 4 * (1 + (index % 3)) }, () => 2 * index));
        expect(runUs).toBeGreaterThanOrEqual(0);
      }
      expect(model.pending).toBe(0);
      await model.close();
    });

    it.each(Object.entries(samples) as [Datatype, TensorData][])(
      "carries %s bit for bit, or refuses it when it loads",
      async (datatype, sample) => {
        const loading = load(contract.identityModel(datatype));
        if (contract.refusedDatatypes?.includes(datatype) === true) {
          const refusal = expect.stringMatching(/^(?:tensor_type_unsupported|model_load_failed)$/u) as unknown;
          await expect(loading).rejects.toThrow(expect.objectContaining({ code: refusal }));
          return;
        }
        const model = await loading;
        const shape = [toDataElements({ datatype, data: sample }) ?? 0];
        const { outputs } = await model.infer([{ name: "x", datatype, shape, data: sample.slice() }], ample);
        expect(outputs).toHaveLength(1);
        expect(outputs[0]).toMatchObject({ name: "y", datatype, shape });
        expect(toBytes(outputs[0]?.data ?? new Uint8Array())).toEqual(toBytes(sample));
        await model.close();
      },
    );

    it("reads a view that starts inside its buffer", async () => {
      const model = await load(contract.doublingModel());
      const data = new Float32Array(10).fill(9).subarray(3, 7);
      const { outputs } = await model.infer([{ ...x([0, 0, 0, 0]), data }], ample);
      expect([...(outputs[0]?.data ?? [])]).toEqual([18, 18, 18, 18]);
      await model.close();
    });

    it.each([
      ["another name", [{ ...x([1, 2, 3, 4]), name: "z" }]],
      ["another datatype", [{ ...x([1, 2, 3, 4]), datatype: "FP64" as const, data: new Float64Array(4) }]],
      ["another rank", [x([1, 2, 3, 4], [4])]],
      ["another width", [x([1, 2, 3, 4], [2, 2])]],
      ["fewer elements than the shape says", [x([1, 2, 3, 4], [2, 4])]],
      ["no input", []],
      ["one input too many", [x([1, 2, 3, 4]), { ...x([1, 2, 3, 4]), name: "z" }]],
    ])("refuses %s as input and goes on", async (_, inputs) => {
      const model = await load(contract.doublingModel());
      await expect(model.infer(inputs, ample)).rejects.toThrow(code("input_invalid"));
      await expect(model.infer([x([1, 2, 3, 4])], ample)).resolves.toBeDefined();
      await model.close();
    });

    it("refuses what is no model and a provider that nobody offers", async () => {
      const runtime = contract.createRuntime();
      await expect(runtime.load(new TextEncoder().encode("nonsense"))).rejects.toThrow(code("model_load_failed"));
      const options = { providers: ["qnn", "cpu"] };
      await expect(runtime.load(contract.doublingModel(), options)).rejects.toThrow(code("provider_unknown"));
      await expect(runtime.load(contract.doublingModel(), { providers: [] })).rejects.toThrow(code("provider_unknown"));
    });

    it("reports a run that fails and goes on", async () => {
      const model = await load(contract.failingModel());
      await expect(model.infer([x([1, 2, 3, 4], [4])], ample)).rejects.toThrow(code("inference_failed"));
      await expect(model.infer([x([1, 2, 3, 4], [4])], ample)).rejects.toThrow(code("inference_failed"));
      await model.close();
    });

    it("gives up a run at its deadline, refuses those behind it and calls the model hung", async () => {
      const { giveUpElsewhere, recovers = false } = contract;
      const outcome =
        giveUpElsewhere === undefined
          ? await giveUpAtDeadline(await load(contract.slowModel()))
          : await giveUpElsewhere({ model: contract.slowModel(), providers });
      expect(outcome).toEqual({
        late: "inference_deadline",
        behind: "model_hung",
        afterwards: "model_hung",
        close: recovers ? "ok" : "model_hung",
        recovers,
      });
    });

    it("does not count the time in line against the deadline", async () => {
      const model = await load(contract.doublingModel());
      const runs = Array.from({ length: 200 }, () => model.infer([x([1, 2, 3, 4])], { deadlineMs: 1_000 }));
      await expect(Promise.all(runs)).resolves.toHaveLength(200);
      await model.close();
    });

    it("closes after pending runs and refuses later ones", async () => {
      const model = await load(contract.doublingModel());
      const run = model.infer([x([1, 2, 3, 4])], ample);
      const closed = model.close();
      await expect(model.infer([x([1, 2, 3, 4])], ample)).rejects.toThrow(code("model_closed"));
      await expect(run).resolves.toBeDefined();
      await closed;
    });
  });
}
