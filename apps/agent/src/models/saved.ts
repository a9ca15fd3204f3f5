/** A value that survives power loss: saved in one step, or not at all. */
export interface Saved<Value> {
  /** The last saved value, or undefined when there is none or it cannot be trusted. */
  load(): Value | undefined;
  save(value: Value): void;
}
