/**
 * A small young generation, in which the chunks of a body die cheaply. Never a size of the old one, nor `--optimize-for-size`:
 * with either, V8 collects the whole heap for every sixteen megabytes of chunks, some 70 times as often.
 */
export const servingFlags = ["--max-semi-space-size=1", "--v8-pool-size=1"] as const;
