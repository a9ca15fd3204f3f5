import { freemem } from "node:os";

/** MemAvailable of the device or what this process's control group leaves, whichever is less, and what the process has. */
export function readMemory(): { availableBytes: number; rssBytes: number } {
  return {
    availableBytes: Math.min(freemem(), process.availableMemory()),
    rssBytes: process.memoryUsage.rss(),
  };
}
