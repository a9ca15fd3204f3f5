export { readSidecarProcess, type SidecarProcessState } from "./process-record.ts";
