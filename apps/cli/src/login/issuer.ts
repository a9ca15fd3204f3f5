import type { HttpFetch } from "@fairlead/client";
import * as z from "zod";
import { CliError } from "../errors.ts";

const maxAnswerBytes = 262_144;
const timeoutMs = 10_000;
const loopback = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** A token is only fetched, and a refresh token only sent, over TLS or on this machine. */
function isSafe(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && (url.protocol === "https:" || (url.protocol === "http:" && loopback.has(url.hostname)));
}
const endpointSchema = z.string().max(2_048).refine(isSafe, "not reached by https");

/** RFC 8414 and OpenID Connect Discovery 1.0, as far as the device grant needs it. */
const discoverySchema = z.object({
  issuer: z.string(),
  device_authorization_endpoint: endpointSchema,
  token_endpoint: endpointSchema,
});
export interface IssuerEndpoints {
  readonly deviceAuthorization: string;
  readonly token: string;
}

/** An answer with a status of its own: the grants tell what is the matter in their bodies. */
export interface IssuerAnswer {
  readonly status: number;
  readonly body: unknown;
}

function toUnreachable(url: string, cause?: unknown): CliError {
  return new CliError("issuer_unreachable", `${url} gave no answer that can be used`, {
    ...(cause === undefined ? {} : { cause }),
    hint: "is the address right and its certificate trusted? --issuer-ca FILE names an authority of your own",
  });
}

async function readAnswer(
  fetch: HttpFetch,
  url: string,
  form: Readonly<Record<string, string>> | null,
): Promise<IssuerAnswer> {
  if (!isSafe(url)) throw new CliError("issuer_unreachable", `${url} is not encrypted`, { hint: "use https://" });
  try {
    const response = await fetch(url, {
      method: form === null ? "GET" : "POST",
      headers: {
        accept: "application/json",
        ...(form === null ? {} : { "content-type": "application/x-www-form-urlencoded" }),
      },
      ...(form === null ? {} : { body: new URLSearchParams(form).toString() }),
      redirect: "error",
      signal: AbortSignal.timeout(timeoutMs),
    });
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const chunk of response.body ?? []) {
      sizeBytes += chunk.byteLength;
      if (sizeBytes > maxAnswerBytes) throw toUnreachable(url);
      chunks.push(chunk);
    }
    return { status: response.status, body: JSON.parse(Buffer.concat(chunks).toString("utf8")) };
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw toUnreachable(url, error);
  }
}

/** @throws CliError `issuer_unreachable` */
export async function discoverIssuer(fetch: HttpFetch, issuer: string): Promise<IssuerEndpoints> {
  const url = `${issuer.replace(/\/+$/u, "")}/.well-known/openid-configuration`;
  const parsed = discoverySchema.safeParse((await readAnswer(fetch, url, null)).body);
  if (!parsed.success || parsed.data.issuer !== issuer) throw toUnreachable(url, parsed.error);
  return { deviceAuthorization: parsed.data.device_authorization_endpoint, token: parsed.data.token_endpoint };
}

/** @throws CliError `issuer_unreachable` */
export function postForm(fetch: HttpFetch, url: string, form: Readonly<Record<string, string>>): Promise<IssuerAnswer> {
  return readAnswer(fetch, url, form);
}
