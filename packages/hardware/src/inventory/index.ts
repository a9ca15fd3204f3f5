import { toErrorMessage } from "@fairlead/kernel";
import type { Birth } from "@fairlead/protocol";

export type Inventory = Birth["inventory"];

type Part = () => Promise<Inventory>;

const maxTextChars = 256;
const maxDisks = 4;

/**
 * What the machine is made of, as a flat record for the birth message. Each part has `timeoutMs`; a part that fails or
 * is late is null below its name with the reason beside it. The library is loaded when this is called, not before.
 */
export async function readInventory({ timeoutMs = 5_000 }: { readonly timeoutMs?: number } = {}): Promise<Inventory> {
  const { default: information } = await import("systeminformation");
  const parts: Readonly<Record<string, Part>> = {
    cpu: async () => {
      const { manufacturer, brand, cores, physicalCores, speedMax } = await information.cpu();
      return {
        "cpu.vendor": toText(manufacturer),
        "cpu.model": toText(brand),
        "cpu.cores": toNumber(cores),
        "cpu.physicalCores": toNumber(physicalCores),
        "cpu.maxGhz": toNumber(speedMax),
      };
    },
    system: async () => {
      const { manufacturer, model, virtual } = await information.system();
      return {
        "system.vendor": toText(manufacturer),
        "system.model": toText(model),
        "system.virtual": virtual === true,
      };
    },
    os: async () => {
      const { distro, release, kernel, arch } = await information.osInfo();
      return {
        "os.distribution": toText(distro),
        "os.release": toText(release),
        "os.kernel": toText(kernel),
        "os.arch": toText(arch),
      };
    },
    memory: async () => ({ "memory.totalBytes": toNumber((await information.mem()).total) }),
    disks: async () => {
      const disks = (await information.diskLayout()).slice(0, maxDisks);
      const entries = disks.flatMap(({ name, type, size }, at) => [
        [`disk.${at}.model`, toText(name)] as const,
        [`disk.${at}.type`, toText(type)] as const,
        [`disk.${at}.sizeBytes`, toNumber(size)] as const,
      ]);
      return { "disk.count": toNumber(disks.length), ...Object.fromEntries(entries) };
    },
  };
  const read = Object.entries(parts).map(([name, part]) => readPart(name, part, timeoutMs));
  return Object.assign({}, ...(await Promise.all(read))) as Inventory;
}

async function readPart(name: string, part: Part, timeoutMs: number): Promise<Inventory> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([part(), late]);
  } catch (error) {
    return { [name]: null, [`${name}.reason`]: toText(toErrorMessage(error)) ?? "failed without a message" };
  } finally {
    clearTimeout(timer);
  }
}

/** The library says "" where it found nothing. */
function toText(value: unknown): string | null {
  const text = typeof value === "string" ? value.trim().slice(0, maxTextChars) : "";
  return text === "" ? null : text;
}

/** The library says 0 where it found nothing; none of these quantities can be 0. */
function toNumber(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) && value > 0 ? value : null;
}
