import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { CodedError } from "@fairlead/kernel";

const block = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/gu;

/** The operator's file of TPM makers' certificates, root and intermediate ones alike. @throws CodedError `config_invalid` */
export function loadTpmMakers(path: string | null): readonly X509Certificate[] {
  if (path === null) return [];
  try {
    const makers = (readFileSync(path, "utf8").match(block) ?? []).map((pem) => new X509Certificate(pem));
    if (makers.length > 0 && makers.every(({ ca }) => ca)) return makers;
  } catch (error) {
    throw new CodedError("config_invalid", `--ek-ca ${path} cannot be read`, { cause: error });
  }
  throw new CodedError("config_invalid", `--ek-ca ${path} holds no certificates of authorities, or other ones too`, {
    hint: "put the makers' root and intermediate certificates into it, in PEM",
  });
}
