import { CodedError } from "@fairlead/kernel";
import { applyToRollout } from "./apply.ts";
import { applyToDevice, toPlanned } from "./apply-to-device.ts";
import type { Decision, DeviceDecision } from "./decision.ts";
import type { RolloutDevice, RolloutRecord } from "./rollout.ts";

/**
 * A rollout's record to which decisions are applied one after another. One about a device costs the same however many
 * devices there are: a fleet gives as many decisions as it has devices, and walking the record for each is quadratic.
 */
export class RolloutDraft {
  #record: RolloutRecord;
  /** The record's devices by name, in its order, and newer than it where `#behind` says so; null: not asked for yet. */
  #devices: Map<string, RolloutDevice> | null = null;
  #behind = false;

  constructor(record: RolloutRecord) {
    this.#record = record;
  }

  get record(): RolloutRecord {
    if (this.#behind) this.#record = { ...this.#record, devices: [...this.#toDevices().values()] };
    this.#behind = false;
    return this.#record;
  }

  find(device: string): RolloutDevice | undefined {
    return this.#toDevices().get(device);
  }

  /**
   * Throws only for a decision that was not made for this record.
   * @throws CodedError `transition_refused`, `device_unknown`
   */
  apply(decision: Decision, nowMs: number): void {
    if ("device" in decision) return this.#applyToDevice(decision, nowMs);
    const before = this.record;
    this.#record = applyToRollout(before, decision, nowMs);
    if (this.#record.devices !== before.devices) this.#devices = null;
  }

  #toDevices(): Map<string, RolloutDevice> {
    return (this.#devices ??= new Map(this.#record.devices.map((device) => [device.device, device])));
  }

  #applyToDevice(decision: DeviceDecision, nowMs: number): void {
    const devices = this.#toDevices();
    const device = devices.get(decision.device);
    if (decision.kind === "plan-device") {
      devices.delete(decision.device);
      devices.set(decision.device, toPlanned(decision));
    } else if (device === undefined) {
      const { rolloutId } = this.#record;
      throw new CodedError("device_unknown", `device ${decision.device} takes no part in rollout ${rolloutId}`);
    } else devices.set(decision.device, applyToDevice(device, decision, nowMs));
    this.#behind = true;
  }
}
