import { existsSync } from "node:fs";

const library = ["x86_64", "aarch64"]
  .map((arch) => `/usr/lib/${arch}-linux-gnu/faketime/libfaketime.so.1`)
  .find(existsSync);

/** Why a process cannot be given another clock here, or undefined when it can. */
export function whyNoShiftedClock(): string | undefined {
  return library === undefined ? "Debian's package faketime is not installed" : undefined;
}

/** Environment of a process whose wall clock is off by `offset` (`+1d`, `-1d`); its monotonic clock stays true. */
export function toShiftedClock(offset: string): Record<string, string> {
  return { LD_PRELOAD: library ?? "", FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: "1", DONT_FAKE_MONOTONIC: "1" };
}

/** The same, with an offset that is read from a file at each question: whoever writes the file sets the clock. */
export function toSettableClock(file: string): Record<string, string> {
  const { FAKETIME: _offset, ...rest } = toShiftedClock("");
  return { ...rest, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: "1" };
}
