import { createHash } from "node:crypto";
import { realpath, stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join } from "node:path";
import { listNode, readNode } from "./root.ts";

/** Where the Vulkan loader looks for drivers (LoaderDriverInterface.md, "Driver Discovery"). */
const manifestFolders = [
  "/usr/local/etc/vulkan/icd.d",
  "/etc/vulkan/icd.d",
  "/usr/local/share/vulkan/icd.d",
  "/usr/share/vulkan/icd.d",
];
const libraryFolders = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/usr/lib64",
  "/usr/local/lib",
  "/usr/lib",
];
const maxManifests = 32;

/**
 * The Vulkan drivers of this machine and the loader over them, which decide what WebGPU runs on: each manifest by its digest, its
 * library by name, size and time of change. Nothing is loaded. `root` stands for `/`.
 * @param driverFiles what `VK_DRIVER_FILES` says, in place of the folders
 */
export async function readVulkanDrivers(
  root: string,
  driverFiles: string | undefined,
): Promise<Record<string, string>> {
  const parts: Record<string, string> = {};
  const loader = await describeLibrary(root, "libvulkan.so.1", "/");
  if (loader !== null) parts["vulkan.loader"] = loader;
  for (const path of (await listManifests(root, driverFiles)).slice(0, maxManifests)) {
    const node = await readNode(root, path);
    if (node.kind === "none") continue;
    const digest = createHash("sha256").update(node.text).digest("hex");
    const library = toLibraryPath(node.text);
    const found = library === null ? null : await describeLibrary(root, library, dirname(path));
    parts[`vulkan.${path}`] = `${digest} ${found ?? "library not found"}`;
  }
  return parts;
}

async function listManifests(root: string, driverFiles: string | undefined): Promise<string[]> {
  const named = driverFiles?.split(":").filter((path) => isAbsolute(path)) ?? [];
  const folders = named.length === 0 ? manifestFolders : named.filter((path) => !path.endsWith(".json"));
  const inFolders = await Promise.all(
    folders.map(async (folder) => (await listNode(root, folder)).map((name) => join(folder, name))),
  );
  return [...named, ...inFolders.flat()].filter((path) => path.endsWith(".json"));
}

/** `ICD.library_path` of a manifest: a path, or a name for the system's linker. */
function toLibraryPath(text: string): string | null {
  try {
    const { ICD: driver }: { ICD?: { library_path?: unknown } } = Object(JSON.parse(text));
    return typeof driver?.library_path === "string" && driver.library_path !== "" ? driver.library_path : null;
  } catch {
    return null;
  }
}

/** Name of the real file (`libvulkan.so.1.3.239`), size and time of change: an update of its package changes them. */
async function describeLibrary(root: string, library: string, manifestFolder: string): Promise<string | null> {
  const paths = isAbsolute(library)
    ? [library]
    : library.includes("/")
      ? [join(manifestFolder, library)]
      : libraryFolders.map((folder) => join(folder, library));
  for (const path of paths) {
    try {
      const real = await realpath(join(root, path));
      const { size, mtimeMs } = await stat(real);
      return `${basename(real)} ${size} ${Math.floor(mtimeMs)}`;
    } catch {
      // Looked for in the next folder.
    }
  }
  return null;
}
