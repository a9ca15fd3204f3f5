/**
 * A small heap, never the supervisor's own flags: what runs here for each request keeps its optimising compiler. A heap that
 * begins with 64 MB is not collected as a whole for every sixteen megabytes of bodies, which a small young generation frees.
 */
export const servingFlags = [
  "--max-semi-space-size=1",
  "--initial-heap-size=64",
  "--max-old-space-size=256",
  "--v8-pool-size=1",
] as const;
