import { ClientError } from "@fairlead/client";
import {
  deviceIdSchema,
  endorsementFingerprintSchema,
  idSchema,
  modelNameSchema,
  versionSchema,
} from "@fairlead/protocol";
import type * as z from "zod";
import { suggestName } from "./suggest.ts";

/** A kind of named thing: the form of its names, and the command that lists them. */
export interface Kind {
  readonly noun: string;
  readonly form: z.ZodType<string>;
  readonly list: string;
}

export const kinds = {
  alert: { noun: "alert", form: idSchema, list: "fairlead alerts list" },
  device: { noun: "device", form: deviceIdSchema, list: "fairlead devices list" },
  enrolmentToken: { noun: "enrolment token", form: idSchema, list: "fairlead enrolments list-tokens" },
  endorsement: {
    noun: "endorsement key",
    form: endorsementFingerprintSchema,
    list: "fairlead enrolments list-eks",
  },
  model: { noun: "model", form: modelNameSchema, list: "fairlead models list" },
  remediation: { noun: "remediation", form: idSchema, list: "fairlead remediations list" },
  rollout: { noun: "rollout", form: idSchema, list: "fairlead rollouts list" },
  token: { noun: "token", form: idSchema, list: "fairlead tokens list" },
  version: { noun: "version", form: versionSchema, list: "fairlead models list" },
  webhook: { noun: "webhook", form: idSchema, list: "fairlead webhooks list" },
} as const satisfies Record<string, Kind>;

export interface Search<Found> {
  readonly find: () => Promise<Found>;
  readonly listNames: () => Promise<readonly string[]>;
}

/**
 * Reads one named thing, or does something to it; when it does not exist, the error says which name was near. A name that no such
 * thing can have is not asked for.
 */
export async function findOrSuggest<Found>(kind: Kind, name: string, search: Search<Found>): Promise<Found> {
  let missing: ClientError | null = null;
  if (kind.form.safeParse(name).success)
    try {
      return await search.find();
    } catch (error) {
      if (!(error instanceof ClientError) || error.code !== "not_found") throw error;
      missing = error;
    }
  const near = suggestName(name, await search.listNames().catch(() => []));
  const hint =
    near === null || near === name ? (missing?.hint ?? `${kind.list} shows what there is`) : `did you mean "${near}"?`;
  throw new ClientError("not_found", missing?.message ?? `no ${kind.noun} is called ${name}`, {
    ...(missing === null ? {} : { cause: missing, status: missing.status }),
    hint,
  });
}
