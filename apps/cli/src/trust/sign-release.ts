import { ClientError, type Client } from "@fairlead/client";
import { releaseSchema, toId, type Audience, type ModelVersion, type Release } from "@fairlead/protocol";
import { randomBytes } from "node:crypto";
import { findVersion } from "../models/find-version.ts";
import { signReleaseAs } from "./change-targets.ts";
import { pullFolder, publishFolder } from "./exchange.ts";
import type { Workplace } from "./workplace.ts";

export interface SignOptions {
  readonly model: string;
  readonly version: string;
  readonly publisher: string;
  readonly expiresAtMs: number;
  /** null: from now on. */
  readonly notBeforeMs: number | null;
  readonly audience: Audience | null;
  readonly tenant: string;
  /** What is registered, where it was carried here; null: the plane is asked. */
  readonly content: ModelVersion | null;
  readonly publish: boolean;
}

/**
 * What is registered → a release of it → the publisher's word → the plane, if wanted. Nobody is asked where the content is
 * given and nothing is to be published.
 */
export async function signRelease(
  open: () => Promise<Client>,
  workplace: Workplace,
  options: SignOptions,
): Promise<Release> {
  const { model, version, publisher, expiresAtMs, notBeforeMs, audience, tenant } = options;
  const { nowMs, folder } = workplace;
  const client = options.content === null || options.publish ? await open() : null;
  const content = options.content ?? (client === null ? null : (await findVersion(client, model, version)).content);
  // Others may have published meanwhile: the next version of a document follows the newest one.
  if (client !== null && Object.keys((await client.trust.state()).roles).length > 0)
    await pullFolder(client, folder, { nowMs: () => nowMs });
  const release = releaseSchema.parse({
    ...{ type: "release", v: 1, tenant },
    releaseId: toId("rel", nowMs, randomBytes(16)),
    issuedAtMs: nowMs,
    expiresAtMs,
    ...(notBeforeMs === null ? {} : { notBeforeMs }),
    ...(audience === null ? {} : { audience }),
    content,
  });
  const before = folder.toState();
  await signReleaseAs(workplace, publisher, release);
  if (client === null || !options.publish) return release;
  try {
    await publishFolder(client, folder);
  } catch (error) {
    // What the plane refused would be refused with every later publication too. Where nobody answered it is kept: the
    // plane may have it already, and `releases publish` says the same again.
    const status = error instanceof ClientError ? (error.status ?? 0) : 0;
    if (status >= 400 && status < 500) folder.restore(before);
    throw error;
  }
  return release;
}
