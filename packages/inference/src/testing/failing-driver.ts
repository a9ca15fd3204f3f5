import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const realDriver = "/usr/lib/chromium/libvk_swiftshader.so";
const compilers = ["/usr/bin/cc", "/usr/bin/gcc", "/usr/bin/clang"];
const loader = ["x86_64", "aarch64"].map((arch) => `/usr/lib/${arch}-linux-gnu/libvulkan.so.1`).find(existsSync);

/** Why no accelerator can be made to fail here, or undefined when one can. */
export function whyNoFailingDriver(): string | undefined {
  if (!existsSync(realDriver)) return "Debian's package chromium is not installed";
  if (loader === undefined) return "Debian's package libvulkan1 is not installed";
  return compilers.some((path) => existsSync(path)) ? undefined : "no C compiler is installed";
}

/** A real Vulkan device (SwiftShader) that can be taken away from every process that uses it, and given back. */
export class FailingDriver implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "driver-"));
  /** What a process has to have in its environment before it first looks for devices. */
  readonly environment: Readonly<Record<string, string>>;

  constructor(state: "good" | "broken" = "good") {
    if (state === "broken") this.break();
    const library = join(this.#folder, "libfailing.so");
    const source = new URL("failing-driver.c", import.meta.url).pathname;
    const defined = [`-DBROKEN_FILE="${this.#brokenFile}"`, `-DREAL_DRIVER="${realDriver}"`];
    const compiler = compilers.find((path) => existsSync(path)) ?? "cc";
    execFileSync(compiler, ["-shared", "-fPIC", "-O1", ...defined, "-o", library, source, "-ldl"]);
    const manifest = join(this.#folder, "driver.json");
    const driver = { file_format_version: "1.0.0", ICD: { library_path: library, api_version: "1.0.5" } };
    writeFileSync(manifest, JSON.stringify(driver));
    this.environment = { VK_DRIVER_FILES: manifest, XDG_RUNTIME_DIR: this.#folder };
  }

  get #brokenFile(): string {
    return join(this.#folder, "broken");
  }

  break(): void {
    writeFileSync(this.#brokenFile, "");
  }

  mend(): void {
    rmSync(this.#brokenFile, { force: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
