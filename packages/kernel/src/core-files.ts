/**
 * Linux then writes no memory into a core file of this process, nor of those that it starts: keys, tokens and passphrases
 * are not found in what a crash leaves behind. coredump_filter of core(5) is inherited and needs no privilege.
 *
 * @param writeFile writes the text into that file, or throws
 * @returns false where the system has no such file: core files are as that system makes them
 */
export function keepMemoryOutOfCoreFiles(writeFile: (path: string, text: string) => void): boolean {
  try {
    writeFile("/proc/self/coredump_filter", "0");
    return true;
  } catch {
    return false;
  }
}
