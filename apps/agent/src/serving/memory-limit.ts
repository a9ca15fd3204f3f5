/** Of the device's memory; the rest is for the system, the supervisor and what else the device does. */
const share = 0.75;
/** Less than this the process has for itself with one small model: a limit below it would end it for nothing. */
const leastBytes = 201_326_592;

export interface DeviceMemory {
  readonly totalBytes: number;
  /** What the control group of this process allows; 0 where there is none (`process.constrainedMemory`). */
  readonly constrainedBytes: number;
}

/**
 * Most memory that the serving process may hold: what the configuration says, otherwise three quarters of what there is.
 * A model that takes more would have the kernel choose whom to end.
 */
export function toMemoryLimitBytes(configuredBytes: number | null, device: DeviceMemory): number {
  if (configuredBytes !== null) return configuredBytes;
  const { totalBytes, constrainedBytes } = device;
  const usableBytes = constrainedBytes > 0 ? Math.min(totalBytes, constrainedBytes) : totalBytes;
  return Math.max(leastBytes, Math.floor(usableBytes * share));
}

/**
 * Most memory that a process may hold which measures a build beside the one that serves: as much as that one, and no more
 * than the share of what is left. `availableBytes`: what the device can still give (`process.availableMemory`).
 */
export function toBenchLimitBytes(servingLimitBytes: number, availableBytes: number): number {
  return Math.min(servingLimitBytes, Math.max(leastBytes, Math.floor(availableBytes * share)));
}
