import { CodedError, hasErrorCode } from "@fairlead/kernel";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { open, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { TpmConfig } from "./tpm-config.ts";
import { takeTpmTurn } from "./tpm-turn.ts";

/** One conversation with the TPM: its files lie in a private folder that goes with it. */
export interface TpmTools {
  /** Runs one tool of tpm2-tools; what it prints. @throws CodedError `tpm_tools_missing` · `tpm_unavailable` · `tpm_foreign` · `tpm_failed` */
  run(tool: `tpm2_${string}`, args: readonly string[]): Promise<string>;
  /** The same, and makes room in a TPM that has no resource manager: objects stay loaded there until they are flushed. */
  create(tool: `tpm2_${string}`, args: readonly string[]): Promise<void>;
  read(name: string): Promise<Buffer>;
  write(name: string, bytes: Uint8Array): Promise<void>;
}

const maxFileBytes = 16_384;
const maxOutputBytes = 65_536;
/** In commands: an enrolment by endorsement key asks a dozen, of which one or two make a key and take long. */
const longestConversation = 4;

/** TPM_RC_INTEGRITY and its plain words: the blob was wrapped by another TPM's storage key. */
const foreign = /0x1df\b|integrity check failed/iu;
const unavailable = /tcti|IO failure|0xa000a|connection refused|no such (?:file|device)|permission denied|0x101\b/iu;

function toFailure(tool: string, error: Error & { readonly killed?: boolean }, text: string): CodedError {
  if (hasErrorCode(error, "ENOENT"))
    return new CodedError("tpm_tools_missing", `${tool} is not installed`, {
      cause: error,
      hint: "install tpm2-tools",
    });
  const reason = text.trim().split("\n").slice(-3).join("; ").slice(0, 400);
  if (error.killed === true)
    return new CodedError("tpm_unavailable", `the TPM did not answer ${tool} in time`, {
      hint: "check `tpm` in config.yaml, and that nothing else holds the TPM",
    });
  if (tool === "tpm2_load" && foreign.test(text))
    return new CodedError(
      "tpm_foreign",
      "this TPM does not hold this device's key: it is another one, or it was cleared",
      {
        hint: "put the right TPM back, or enrol this device again",
      },
    );
  if (unavailable.test(text))
    return new CodedError("tpm_unavailable", `the TPM cannot be reached: ${reason}`, {
      hint: "check `tpm` in config.yaml, the device file and that this user may open it (group tss)",
    });
  return new CodedError("tpm_failed", `${tool}: ${reason === "" ? error.message.slice(0, 200) : reason}`);
}

export interface TpmUse<Value> {
  readonly config: TpmConfig;
  /** A folder of this user's only; the conversation gets one below it. */
  readonly folder: string;
  readonly use: (tools: TpmTools) => Promise<Value>;
}

/** Opens a conversation, and leaves nothing behind: no file, and no object in a TPM without a resource manager. */
export async function withTpm<Value>({ config, folder, use }: TpmUse<Value>): Promise<Value> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const isManaged = config.tcti.startsWith("device:/dev/tpmrm") || config.tcti.startsWith("tabrmd");
  using _turn = isManaged ? null : await takeTpmTurn(folder, longestConversation * config.timeoutMs);
  const own = mkdtempSync(join(folder, "tpm-"));
  const run: TpmTools["run"] = (tool, args) =>
    new Promise((resolve, reject) => {
      const env = { PATH: process.env["PATH"] ?? "/usr/bin:/bin", LC_ALL: "C", TPM2TOOLS_TCTI: config.tcti };
      const limits = { timeout: config.timeoutMs, killSignal: "SIGKILL", maxBuffer: maxOutputBytes } as const;
      execFile(tool, [...args], { cwd: own, env, ...limits, windowsHide: true }, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(toFailure(tool, error, stderr));
      });
    });
  const flush = async (what: readonly string[]): Promise<void> => {
    if (isManaged) return;
    for (const flag of what) await run("tpm2_flushcontext", [flag]);
  };
  const toPath = (name: string): string => join(own, basename(name));
  try {
    await flush(["-t", "-l", "-s"]);
    return await use({
      run,
      create: async (tool, args) => {
        await run(tool, args);
        await flush(["-t"]);
      },
      read: async (name) => {
        const file = await open(toPath(name), "r");
        try {
          const { size } = await file.stat();
          if (size > maxFileBytes) throw new CodedError("tpm_failed", `${name} has ${size} bytes`);
          return await file.readFile();
        } finally {
          await file.close();
        }
      },
      write: (name, bytes) => writeFile(toPath(name), bytes, { mode: 0o600 }),
    });
  } finally {
    await flush(["-t", "-s"]).catch(() => undefined);
    rmSync(own, { recursive: true, force: true });
  }
}
