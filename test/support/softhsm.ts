import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const exec = promisify(execFile);
/** Debian's softhsm2 puts it into one of these. */
const modules = [
  "/usr/lib/softhsm/libsofthsm2.so",
  `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu/softhsm/libsofthsm2.so`,
];

/** Why tests with a PKCS#11 token cannot run here; null when they can. */
export function whyNoSoftHsm(): string | null {
  for (const tool of ["softhsm2-util", "pkcs11-tool"])
    try {
      execFileSync(tool, ["--help"], { stdio: "ignore" });
    } catch (error) {
      if ((error as { code?: string }).code === "ENOENT") return `${tool} is not installed`;
    }
  return modules.some((path) => existsSync(path)) ? null : "softhsm2 has no module";
}

/** A PKCS#11 token in software, in a folder of its own; its keys never leave it. */
export class SoftHsm {
  readonly pin = "sesame-4711";
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async create(folder: string): Promise<SoftHsm> {
    const hsm = new SoftHsm(folder);
    mkdirSync(join(folder, "tokens"), { recursive: true });
    const lines = [
      `directories.tokendir = ${join(folder, "tokens")}`,
      "objectstore.backend = file",
      "log.level = ERROR",
    ];
    writeFileSync(hsm.configPath, `${lines.join("\n")}\n`);
    const pins = ["--so-pin", "12345678", "--pin", hsm.pin];
    await exec("softhsm2-util", ["--init-token", "--free", "--label", "fairlead", ...pins], { env: hsm.#env() });
    return hsm;
  }

  get configPath(): string {
    return join(this.#folder, "softhsm2.conf");
  }

  /** Where the PIN is, as pkcs11-tool reads it, and nothing that would show it. */
  get arguments(): string[] {
    const module = modules.find((path) => existsSync(path)) ?? "";
    return ["--module", module, "--token-label", "fairlead", "--login", "--pin", "env:FAIRLEAD_SIGNER_PIN"];
  }

  #env(): NodeJS.ProcessEnv {
    return { ...process.env, SOFTHSM2_CONF: this.configPath, FAIRLEAD_SIGNER_PIN: this.pin };
  }

  /** Makes a key in the token. @returns the path of its public half */
  async createKey(id: string, type: "EC:edwards25519" | "EC:prime256v1"): Promise<string> {
    const path = join(this.#folder, `${id}.pub`);
    const run = (args: readonly string[]) => exec("pkcs11-tool", [...this.arguments, ...args], { env: this.#env() });
    await run(["--keypairgen", "--key-type", type, "--id", id, "--label", id, "--usage-sign"]);
    await run(["--read-object", "--type", "pubkey", "--id", id, "--output-file", path]);
    return path;
  }
}
