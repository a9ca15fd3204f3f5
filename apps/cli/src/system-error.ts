const reasons: Readonly<Record<string, string>> = {
  EACCES: "it is not permitted",
  EEXIST: "it exists",
  EISDIR: "it is a folder",
  ENOENT: "there is no such file or folder",
  ENOSPC: "the disk is full",
  ENOTDIR: "a part of its path is no folder",
  EPERM: "it is not permitted",
  EROFS: "its file system can only be read",
};

const doings: Readonly<Record<string, string>> = { mkdir: "make the folder", scandir: "list", open: "open" };

/** What the system refused and why, in words; null for an error that names no file. The system's own text begins with its code. */
export function describeSystemError(error: unknown): string | null {
  if (!(error instanceof Error) || !("path" in error) || !("code" in error) || !("syscall" in error)) return null;
  const { path, code, syscall } = error;
  const reason = reasons[String(code)];
  return typeof path !== "string" || reason === undefined
    ? null
    : `cannot ${doings[String(syscall)] ?? "use"} ${path}: ${reason}`;
}
