import { parseSigningKey, generateKeyPair, toPublicKeyPem } from "@fairlead/artifacts";
import { toTufKey, type TufSigner } from "@fairlead/artifacts/tuf";
import { CodedError } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";
import { sign } from "node:crypto";
import { join } from "node:path";
import { loadFile, saveFile } from "../authority/files.ts";

const maxKeys = 8;
const toPath = (folder: string, number: number) => join(folder, `online-${number}.key`);

/** One key that may say what is newest, never what may be installed. */
export interface OnlineKey extends TufSigner {
  readonly publicKeyPem: string;
}

function toOnlineKey(privateKeyPem: string): OnlineKey {
  const key = parseSigningKey(privateKeyPem);
  const publicKeyPem = toPublicKeyPem(key);
  return { key: toTufKey(publicKeyPem), publicKeyPem, sign: async (bytes) => sign(null, bytes, key.privateKey) };
}

/** The keys for snapshot and timestamp; each in a file of mode 0600. */
export interface OnlineKeys {
  readonly all: readonly OnlineKey[];
  /** Another one, which counts as soon as a root names it. */
  add(): OnlineKey;
}

export function openOnlineKeys(folder: string): OnlineKeys {
  const all: OnlineKey[] = [];
  const add = (): OnlineKey => {
    if (all.length >= maxKeys)
      throw new CodedError<HttpErrorCode>("conflict", `there are ${maxKeys} online keys already`, {
        hint: "the next root needs only some of those that are there: fairlead trust view",
      });
    const { privateKeyPem } = generateKeyPair();
    saveFile(toPath(folder, all.length + 1), privateKeyPem);
    const key = toOnlineKey(privateKeyPem);
    all.push(key);
    return key;
  };
  for (let pem = loadFile(toPath(folder, 1)); pem !== undefined; pem = loadFile(toPath(folder, all.length + 1)))
    all.push(toOnlineKey(pem));
  if (all.length === 0) add();
  return { all, add };
}
