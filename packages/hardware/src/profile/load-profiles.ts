import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@fairlead/kernel";
import { parse } from "yaml";
import * as z from "zod";
import { profileSchema, type DeviceProfile } from "./profile.ts";

export type ProfileErrorCode = "profile_unreadable" | "profile_invalid" | "profile_unknown";

const maxBytes = 65_536;

/**
 * All profiles `<folder>/<name>/profile.yaml`, by name.
 * @throws CodedError `profile_unreadable` for the folder or a file, `profile_invalid` with every bad field.
 */
export async function loadProfiles(folder: string): Promise<DeviceProfile[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new CodedError<ProfileErrorCode>("profile_unreadable", `the folder ${folder} cannot be read`, {
      cause,
      hint: "name the folder that holds the board profiles, such as firmware-configs",
    });
  });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return Promise.all(names.toSorted().map((name) => loadProfile(folder, name)));
}

async function loadProfile(folder: string, name: string): Promise<DeviceProfile> {
  const path = join(folder, name, "profile.yaml");
  const text = await readBounded(path);
  const parsed = profileSchema.safeParse(parseYaml(text, path));
  if (!parsed.success) throw toInvalid(path, z.prettifyError(parsed.error), parsed.error);
  if (parsed.data.metadata.name !== name) throw toInvalid(path, `metadata.name must be the folder's name, ${name}`);
  return parsed.data;
}

async function readBounded(path: string): Promise<string> {
  try {
    await using file = await open(path);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, 0);
    if (bytesRead > maxBytes) throw toInvalid(path, `it is longer than ${maxBytes} bytes`);
    return buffer.toString("utf8", 0, bytesRead);
  } catch (cause) {
    if (cause instanceof CodedError) throw cause;
    throw new CodedError<ProfileErrorCode>("profile_unreadable", `${path} cannot be read`, {
      cause,
      hint: "each folder of board profiles holds a readable profile.yaml",
    });
  }
}

function parseYaml(text: string, path: string): unknown {
  try {
    return parse(text, { maxAliasCount: 0 });
  } catch (cause) {
    throw toInvalid(path, "it is not YAML", cause);
  }
}

function toInvalid(path: string, problem: string, cause?: unknown): CodedError<ProfileErrorCode> {
  return new CodedError<ProfileErrorCode>("profile_invalid", `${path}: ${problem}`, {
    cause,
    hint: "compare it with firmware-configs/schema.json",
  });
}
