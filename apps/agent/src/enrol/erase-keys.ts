import { closeSync, existsSync, fsyncSync, openSync, readdirSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { syncFolder } from "../state/install-file.ts";
import { identityFiles } from "./identity.ts";

/** Zeros over the old bytes. A disk that writes elsewhere (flash) may keep them: only a key in hardware is surely gone. */
function overwrite(path: string): void {
  const sizeBytes = statSync(path).size;
  const file = openSync(path, "r+");
  try {
    writeSync(file, Buffer.alloc(sizeBytes), 0, sizeBytes, 0);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

const keyFiles = [identityFiles.key, identityFiles.tpmKey] as const;

/**
 * The one place where the device's private key ends, wherever it lives: in its file here, or in a TPM, which keeps
 * nothing of it and can use it no more once `device.tpm` is gone. Nothing happens where there is none.
 */
export function eraseDeviceKeys(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    // The temporary file of a save that was cut short holds the same key.
    if (!keyFiles.some((file) => name.startsWith(file))) continue;
    overwrite(join(folder, name));
    rmSync(join(folder, name), { force: true });
  }
  syncFolder(folder);
}
