import { ProtobufWriter } from "./protobuf-writer.ts";

/** A change to the bytes of a model. Numbers are reduced to what the model has, so that any of them is valid for any model. */
export type ModelMutation =
  | { readonly kind: "cut"; readonly at: number }
  | { readonly kind: "flip"; readonly at: number; readonly bit: number }
  | { readonly kind: "splice"; readonly at: number; readonly from: number; readonly length: number }
  /** These keep the messages whole: a field is written again, left out, or a number in it becomes another. */
  | { readonly kind: "repeat"; readonly field: number; readonly times: number }
  | { readonly kind: "drop"; readonly field: number }
  | { readonly kind: "swap"; readonly field: number; readonly other: number }
  | { readonly kind: "number"; readonly field: number; readonly value: bigint };

/** Numbers that are on an edge of something: lengths, types, ranks, signs, and what 32 or 64 bits hold. */
const numbers = [0n, 1n, -1n, 2n, 7n, 127n, 128n, 2n ** 31n, 2n ** 32n + 1n, 2n ** 40n, 2n ** 62n, 2n ** 63n - 1n];
const times = [1, 2, 40];

/** Every three counts are a change, so that a generator of numbers is one of changes. */
export function toModelMutation(kind: number, first: number, second: number): ModelMutation {
  switch (kind % 7) {
    case 0:
      return { kind: "cut", at: first };
    case 1:
      return { kind: "flip", at: first, bit: second };
    case 2:
      return { kind: "splice", at: first, from: second, length: (first + second) % 256 };
    case 3:
      return { kind: "repeat", field: first, times: times[second % times.length] ?? 1 };
    case 4:
      return { kind: "drop", field: first };
    case 5:
      return { kind: "swap", field: first, other: second };
    default:
      return { kind: "number", field: first, value: numbers[second % numbers.length] ?? 0n };
  }
}

type MessageName =
  | "model"
  | "graph"
  | "node"
  | "attribute"
  | "tensor"
  | "value"
  | "type"
  | "tensorType"
  | "shape"
  | "leaf";

/** Which fields of a message hold messages (onnx.proto). */
const messages: Readonly<Record<MessageName, Readonly<Record<number, MessageName>>>> = {
  model: { 7: "graph", 8: "leaf" },
  graph: { 1: "node", 5: "tensor", 11: "value", 12: "value", 13: "value" },
  node: { 5: "attribute" },
  attribute: { 5: "tensor", 6: "graph" },
  tensor: {},
  value: { 2: "type" },
  type: { 1: "tensorType" },
  tensorType: { 2: "shape" },
  shape: { 1: "leaf" },
  leaf: {},
};

interface Part {
  readonly number: number;
  readonly wire: number;
  /** Numbers and bytes as they stand; null for a message, which is made of its parts. */
  readonly bytes: Uint8Array | null;
  value: bigint;
  readonly parts: Part[];
}

function readVarint(bytes: Uint8Array, from: number): { readonly value: bigint; readonly next: number } {
  let value = 0n;
  for (let index = from; ; index += 1) {
    const byte = bytes[index] ?? 0;
    value |= BigInt(byte & 0x7f) << BigInt(7 * (index - from));
    if (byte < 0x80) return { value, next: index + 1 };
  }
}

/** Reads a model as far as it is one; what a change has put into a message's place is read as if it were one. */
function toParts(bytes: Uint8Array, message: MessageName): Part[] {
  const parts: Part[] = [];
  for (let at = 0; at < bytes.length;) {
    const tag = readVarint(bytes, at);
    const number = Number(tag.value >> 3n);
    const wire = Number(tag.value & 7n);
    if (wire === 0) {
      const { value, next } = readVarint(bytes, tag.next);
      parts.push({ number, wire, bytes: null, value, parts: [] });
      at = next;
      continue;
    }
    const head = wire === 2 ? readVarint(bytes, tag.next) : { value: wire === 1 ? 8n : 4n, next: tag.next };
    at = head.next + Number(head.value);
    const inside = bytes.subarray(head.next, at);
    const inner = wire === 2 ? messages[message][number] : undefined;
    if (inner === undefined) parts.push({ number, wire, bytes: inside, value: 0n, parts: [] });
    else parts.push({ number, wire, bytes: null, value: 0n, parts: toParts(inside, inner) });
  }
  return parts;
}

function toBytes(parts: readonly Part[]): Uint8Array<ArrayBuffer> {
  const writer = new ProtobufWriter();
  for (const { number, wire, bytes, value, parts: inner } of parts) {
    if (wire === 0) writer.int(number, value);
    else if (wire === 2) writer.bytes(number, bytes ?? toBytes(inner));
    else writer.fixed(number, bytes ?? new Uint8Array());
  }
  return writer.finish();
}

/** Every list that holds a field, with the field's position in it, in the order of the file. */
function toSlots(parts: Part[]): { readonly list: Part[]; readonly index: number }[] {
  return parts.flatMap((part, index) => [{ list: parts, index }, ...toSlots(part.parts)]);
}

/** @returns the changed model; the given one stays as it is */
export function mutateModel(bytes: Uint8Array, mutation: ModelMutation): Uint8Array<ArrayBuffer> {
  const size = bytes.length;
  if (mutation.kind === "cut") return Uint8Array.from(bytes.subarray(0, mutation.at % size));
  const copy = Uint8Array.from(bytes);
  if (mutation.kind === "flip") {
    const at = mutation.at % size;
    copy[at] = (copy[at] ?? 0) ^ (1 << (mutation.bit % 8));
    return copy;
  }
  if (mutation.kind === "splice") {
    const from = mutation.from % size;
    copy.set(bytes.subarray(from, from + Math.min(mutation.length, size - (mutation.at % size))), mutation.at % size);
    return copy;
  }
  const parts = toParts(copy, "model");
  const slots = toSlots(parts);
  const slot = slots[mutation.field % slots.length];
  const part = slot?.list[slot.index];
  if (slot === undefined || part === undefined) return copy;
  if (mutation.kind === "drop") slot.list.splice(slot.index, 1);
  else if (mutation.kind === "repeat")
    slot.list.splice(slot.index, 0, ...Array.from({ length: mutation.times }, () => part));
  else if (mutation.kind === "swap") {
    const other = slots[mutation.other % slots.length];
    // A copy: one of the two may lie in the other.
    const { bytes: taken, parts: inner, wire, value } = structuredClone(other?.list[other.index] ?? part);
    slot.list[slot.index] = { number: part.number, wire, bytes: taken, value, parts: inner };
  } else if (part.wire === 0) part.value = mutation.value;
  return toBytes(parts);
}
