import { CodedError } from "@fairlead/kernel";
import type { CreateReleaseRequest, HttpErrorCode, SignedRelease } from "@fairlead/protocol";
import type { RegistryContext } from "./store-artifact.ts";

/**
 * Signs a registered version. Signing it again makes a new release with a new life; the newest one counts.
 * @throws CodedError `not_found`
 */
export async function signRelease(
  context: RegistryContext,
  request: CreateReleaseRequest,
  actor: string,
): Promise<SignedRelease> {
  const { model, version, ttlMs } = request;
  const subject = `${model}@${version}`;
  return await context.store.transaction(async (tx) => {
    const registered = await tx.modelVersions.get(model, version);
    if (registered === undefined) {
      throw new CodedError<HttpErrorCode>("not_found", `${subject} is not registered`, {
        hint: `register it first with POST /api/v1/models/${model}/versions`,
      });
    }
    const createdAtMs = context.clock.nowMs();
    const expiresAtMs = createdAtMs + ttlMs;
    const releaseId = context.createId("rel");
    const document = context.sign({
      type: "release",
      v: 1,
      tenant: context.tenant,
      releaseId,
      issuedAtMs: createdAtMs,
      expiresAtMs,
      content: registered.content,
    });
    await tx.releases.add({ releaseId, model, version, document, createdAtMs, expiresAtMs, createdBy: actor });
    const details = { releaseId, expiresAtMs, keyIds: document.signatures.map(({ keyId }) => keyId) };
    await context.audit.append(tx, { actor, action: "release.sign", subject, reason: "signed", details });
    await context.stream.emit(tx, "model", subject);
    return document;
  });
}
