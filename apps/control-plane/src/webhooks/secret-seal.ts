import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { join } from "node:path";
import { CodedError } from "@fairlead/kernel";
import { loadFile, saveFile } from "../authority/files.ts";

/** Makes text unreadable for whoever has the database and not the plane's key file. */
export interface SecretSeal {
  /** `about` is bound to it: sealed text moved to another row does not open. */
  readonly seal: (text: string, about: string) => string;
  readonly open: (sealed: string, about: string) => string;
}

function loadKey(path: string): Buffer {
  const kept = loadFile(path);
  if (kept === undefined) {
    const key = randomBytes(32);
    saveFile(path, key.toString("base64"));
    return key;
  }
  const key = Buffer.from(kept.trim(), "base64");
  if (key.length === 32) return key;
  throw new CodedError("key_unusable", `${path} does not hold 32 bytes in base64`, {
    hint: "restore it from a backup; without it the secrets of the webhooks are lost: delete the file and make them anew",
  });
}

/**
 * AES-256-GCM with a key of its own in `webhooks.key` (mode 0600): a signature needs the secret itself, so a hash will not do.
 * @throws CodedError `key_unusable`
 */
export function openSecretSeal(folder: string): SecretSeal {
  const key = loadKey(join(folder, "webhooks.key"));
  return {
    seal: (text, about) => {
      const nonce = randomBytes(12);
      const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(about, "utf8"));
      const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString("base64");
    },
    open: (sealed, about) => {
      const bytes = Buffer.from(sealed, "base64");
      try {
        const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, 12), { authTagLength: 16 });
        decipher.setAAD(Buffer.from(about, "utf8")).setAuthTag(bytes.subarray(12, 28));
        return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString("utf8");
      } catch (error) {
        throw new CodedError("key_unusable", "the secret does not open with the key in webhooks.key", { cause: error });
      }
    },
  };
}
