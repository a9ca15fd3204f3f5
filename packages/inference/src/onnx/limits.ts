/** What a model may have. Each limit is counted over the whole file, functions included, unless it says otherwise. */
export interface InspectionLimits {
  readonly maxNodes: number;
  /** Graphs inside graphs; the outermost graph is at depth 0. */
  readonly maxDepth: number;
  /** Types inside types: sequences of maps of tensors. */
  readonly maxTypeDepth: number;
  readonly maxTensors: number;
  readonly maxAttributes: number;
  /** Protobuf fields that are read; those inside of what is jumped over do not count. */
  readonly maxFields: number;
  /** One name, and all names together. */
  readonly maxStringBytes: number;
  readonly maxNamesBytes: number;
  /** One string of an attribute. */
  readonly maxTextBytes: number;
  /** One documentation string or metadata value: nothing here shows more than its head. */
  readonly maxNoteBytes: number;
  /** One attribute, its graphs and tensors apart. */
  readonly maxAttributeBytes: number;
  /** Rounds of a loop whose number is a constant. */
  readonly maxLoopTrips: number;
  /**
   * Elements of one tensor whose size a constant states and which a node makes, and of all together that the runtime
   * can make while it loads the file.
   */
  readonly maxMadeElements: number;
}

export const defaultInspectionLimits: InspectionLimits = {
  maxNodes: 50_000,
  maxDepth: 8,
  maxTypeDepth: 8,
  maxTensors: 50_000,
  maxAttributes: 200_000,
  maxFields: 5_000_000,
  maxStringBytes: 4_096,
  maxNamesBytes: 67_108_864,
  maxTextBytes: 65_536,
  maxNoteBytes: 4_194_304,
  maxAttributeBytes: 67_108_864,
  maxLoopTrips: 100_000_000,
  maxMadeElements: 2 ** 28,
};
