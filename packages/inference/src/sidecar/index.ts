export { readSidecarServer } from "./server-record.ts";
export { readSidecarProcess, type SidecarProcessState } from "./process-record.ts";
