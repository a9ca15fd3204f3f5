import { ClientError } from "@fairlead/client";
import { suggestName } from "./suggest.ts";

/** Runs a read of one named thing; when it does not exist, the error says which name was near. */
export async function findOrSuggest<Found>(
  name: string,
  find: () => Promise<Found>,
  listNames: () => Promise<readonly string[]>,
): Promise<Found> {
  try {
    return await find();
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== "not_found") throw error;
    const near = suggestName(name, await listNames().catch(() => []));
    if (near === null || near === name) throw error;
    throw new ClientError("not_found", error.message, {
      cause: error,
      status: error.status,
      hint: `did you mean "${near}"?`,
    });
  }
}
