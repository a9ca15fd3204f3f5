import { CodedError, toErrorMessage } from "@fairlead/kernel";
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { isAbsolute } from "node:path";
import * as z from "zod";
import type { ConfiguredMirror } from "./mirrors.ts";

const urlSchema = z
  .string()
  .max(2_048)
  .regex(/^https:\/\/[^\s/@#]+\/[^\s#]*\{digest\}[^\s#]*$/u, "not https://HOST/…{digest}…");

/** Servers of the site's own that hold artifacts, the preferred one first; the plane is asked last. */
export const mirrorsSchema = z
  .array(
    z.strictObject({
      /** `{digest}` is replaced; what is served counts by its signed length and digest alone. */
      url: urlSchema.refine((url) => URL.canParse(url.replaceAll("{digest}", "x")), "not a URL"),
      /** Base address of a copy of the metadata; asked while the plane cannot be reached. */
      metadata: z
        .string()
        .max(2_048)
        .regex(/^https:\/\/[^\s/@#?]+\/(?:[^\s#?]*\/)?$/u, "not https://HOST/…/ with a slash at its end")
        .nullable()
        .default(null),
      /** File with the authority that its certificate comes from; absent: the system's authorities. */
      ca: z.string().max(4_096).refine(isAbsolute, "not an absolute path").nullable().default(null),
    }),
  )
  .max(8)
  .default([]);

/** @throws CodedError `config_invalid` */
export async function readMirrors(mirrors: z.infer<typeof mirrorsSchema>): Promise<ConfiguredMirror[]> {
  return await Promise.all(
    mirrors.map(async ({ url, metadata: metadataUrl, ca }) => {
      if (ca === null) return { url, metadataUrl, ca };
      try {
        const pem = await readFile(ca, "utf8");
        // Refuses what is no certificate now, and not when a download is due.
        void new X509Certificate(pem);
        return { url, metadataUrl, ca: pem };
      } catch (error) {
        throw new CodedError("config_invalid", `mirrors: ${ca}: ${toErrorMessage(error)}`, {
          cause: error,
          hint: "name a PEM file with the authority of that mirror in config.yaml",
        });
      }
    }),
  );
}
