export { openHardware, type HardwareProbe, type OpenHardwareOptions } from "./open-hardware.ts";
export { readHardwareIdentity } from "./hardware-identity.ts";
export type { SkippedSource } from "./energy-source.ts";
export { detectProfile, type DetectOptions } from "./profile/detect-profile.ts";
export { loadProfiles, type ProfileErrorCode } from "./profile/load-profiles.ts";
export { profileSchema, toProfileJsonSchema, type DeviceProfile } from "./profile/profile.ts";
