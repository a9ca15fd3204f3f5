import type { KnownValue } from "./known-values.ts";
import { maxValues } from "./tensor-values.ts";

/** What a rule may ask about a node. */
export interface MadeBy {
  /** What is known of the input at this position. */
  input(index: number): KnownValue | null;
  /** The numbers of an attribute; null when it has none, or more than 32. */
  attribute(name: string): readonly number[] | null;
}

type Rule = (node: MadeBy) => number;

/** Nothing is stated, so nothing is known to be made. */
const unknown = 0;

const product = (sizes: readonly number[] | null | undefined): number =>
  sizes === null || sizes === undefined ? unknown : sizes.reduce((made, size) => made * size, 1);
/** A shape of more numbers than are looked at has a rank that no tensor has. */
const isTooLong = (value: KnownValue | null) => value?.constant === true && value.elements > maxValues;
const sized =
  (index: number): Rule =>
  (node) =>
    isTooLong(node.input(index)) ? Infinity : product(node.input(index)?.values);
const times =
  (index: number): Rule =>
  (node) =>
    sized(index)(node) * Math.max(1, node.input(0)?.elements ?? 1);
const stated =
  (name: string): Rule =>
  (node) =>
    product(node.attribute(name));
const most =
  (...rules: Rule[]): Rule =>
  (node) =>
    Math.max(...rules.map((rule) => rule(node)));

/** All beginnings, then all ends: an axis becomes at least as long as its two paddings. */
function padded(pads: readonly number[] | null | undefined): number {
  if (pads === null || pads === undefined) return unknown;
  const axes = Math.floor(pads.length / 2);
  const sums = pads.slice(0, axes).map((begin, axis) => Math.max(1, begin + (pads[axes + axis] ?? 0)));
  return product(sums);
}

const range: Rule = (node) => {
  const [start = NaN, limit = NaN, delta = NaN] = [0, 1, 2].map((index) => node.input(index)?.values?.[0]);
  const count = Math.ceil((limit - start) / delta);
  return Number.isNaN(count) ? unknown : count;
};
const pad: Rule = (node) =>
  isTooLong(node.input(1)) ? Infinity : Math.max(padded(node.input(1)?.values), padded(node.attribute("pads")));
const window = (...names: string[]): Rule => most((node) => padded(node.attribute("pads")), ...names.map(stated));
const pooled = window();

/**
 * Operators that make a tensor as large as numbers say, and where those stand (docs/Operators.md and docs/Changelog.md of
 * onnx, all versions of each). Where the numbers are no constants, the limits of a run decide.
 */
export const madeTensorRules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ["AffineGrid", sized(1)],
  ["AveragePool", pooled],
  ["BlackmanWindow", sized(0)],
  ["CenterCropPad", sized(1)],
  ["Col2Im", sized(1)],
  ["ConstantOfShape", sized(0)],
  ["Conv", pooled],
  ["ConvInteger", pooled],
  ["ConvTranspose", window("output_shape", "output_padding", "strides", "dilations")],
  ["DFT", sized(1)],
  ["Expand", sized(1)],
  ["HammingWindow", sized(0)],
  ["HannWindow", sized(0)],
  ["LpPool", pooled],
  ["MaxPool", pooled],
  ["MaxUnpool", most(sized(2), window("strides"))],
  ["MelWeightMatrix", (node) => sized(0)(node) * Math.max(1, (sized(1)(node) + 2) / 2)],
  ["Multinomial", stated("sample_size")],
  ["OneHot", times(1)],
  ["Pad", pad],
  ["QLinearConv", pooled],
  ["RandomNormal", stated("shape")],
  ["RandomUniform", stated("shape")],
  ["Range", range],
  ["Resize", most(times(1), times(2), sized(3))],
  ["STFT", sized(3)],
  ["Tile", times(1)],
  ["Upsample", most(times(1), stated("scales"))],
  ["com.microsoft::Pad", pad],
  ["com.microsoft::Range", range],
]);
