import { listDelegations, parseMetadata, type MetadataByKind, type MetadataFile } from "@fairlead/artifacts/tuf";
import { CodedError, toErrorMessage } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";

/** How deep publishers may delegate on: a publisher is named in the targets document itself. */
export interface Repository {
  readonly root: MetadataByKind["root"];
  /** `targets`, every publisher that it names and those that it named once, newest versions. */
  readonly signed: readonly MetadataFile[];
}

export function refuseMetadata(message: string, cause?: unknown): never {
  throw new CodedError<HttpErrorCode>("metadata_refused", message.slice(0, 500), {
    cause,
    hint: "fairlead releases verify shows the same on your side; sign anew with keys that the root names",
  });
}

/**
 * What the newest documents say together. A publisher that was named and has signed nothing yet is left out, as the
 * specification allows: nobody can find anything with it.
 * @throws CodedError `metadata_refused`
 */
export function readRepository(newest: ReadonlyMap<string, MetadataFile>): Repository {
  const get = (role: string): MetadataFile => newest.get(role) ?? refuseMetadata(`there is no ${role} document`);
  try {
    const root = parseMetadata("root", get("root").text);
    const targets = get("targets");
    const parsed = parseMetadata("targets", targets.text);
    root.verifyDelegate("targets", parsed);
    const publishers = listDelegations(parsed.signed).flatMap(({ role }) => {
      const file = newest.get(role);
      if (file === undefined) return [];
      const metadata = parseMetadata("targets", file.text);
      parsed.verifyDelegate(role, metadata);
      if (metadata.signed.delegations !== undefined) refuseMetadata(`${role} delegates on, which is not admitted`);
      return [file];
    });
    const present = new Set([...publishers.map(({ role }) => role), "root", "targets", "snapshot", "timestamp"]);
    // §5.5.5: what a snapshot listed once it lists for ever. Nobody delegates to these any more, so nobody asks them.
    const former = [...newest.values()].filter(({ role }) => !present.has(role));
    return { root, signed: [targets, ...publishers, ...former] };
  } catch (error) {
    if (error instanceof CodedError && error.code === "metadata_refused") throw error;
    return refuseMetadata(toErrorMessage(error), error);
  }
}
