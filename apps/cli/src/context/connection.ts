import { createHash, X509Certificate } from "node:crypto";
import { createClient, type HttpFetch } from "@fairlead/client";
import { Agent, fetch as undiciFetch, type RequestInit } from "undici";
import { CliError } from "../errors.ts";

/** A dispatcher keeps its sockets: one per process, closed at the end. */
export interface Connection {
  readonly fetch: HttpFetch;
  close(): Promise<void>;
}

function openConnection(tls: { readonly ca?: string; readonly rejectUnauthorized?: boolean }): Connection {
  const agent = new Agent({ connect: { ...tls, timeout: 10_000 }, headersTimeout: 300_000, bodyTimeout: 0 });
  return {
    fetch: (url, init) => {
      const request: RequestInit = { ...init, dispatcher: agent };
      return undiciFetch(url, request);
    },
    close: () => agent.destroy(),
  };
}

/** Trusts exactly this authority, or the system's when none is given. */
export function openTrustedConnection(ca: string | undefined): Connection {
  return openConnection(ca === undefined ? {} : { ca });
}

const certificate = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/gu;

/** The PEM of the certificate whose SHA-256 (DER) is the fingerprint. */
export function findPinned(pem: string, fingerprint: string): string | null {
  for (const [text] of pem.slice(0, 65_536).matchAll(certificate)) {
    try {
      const der = new X509Certificate(text).raw;
      if (createHash("sha256").update(der).digest("hex") === fingerprint) return `${text}\n`;
    } catch {
      continue;
    }
  }
  return null;
}

/**
 * Reads `/api/v1/ca` once without trust and accepts only the certificate that the token names:
 * the fingerprint came to the user by another way, so whoever stands in between can at most refuse.
 * The token itself is not sent here.
 */
export async function fetchPinnedCa(server: string, fingerprint: string, timeoutMs: number): Promise<string> {
  const connection = openConnection({ rejectUnauthorized: false });
  try {
    const pem = await createClient({ server, fetch: connection.fetch, timeoutMs }).enrolments.readCa();
    const pinned = findPinned(pem, fingerprint);
    if (pinned !== null) return pinned;
    throw new CliError("fingerprint_mismatch", `${server} is not the control plane that issued this token`, {
      hint: "check the address; if it is right, somebody may stand between you and the server, or the plane was set up anew",
    });
  } finally {
    await connection.close();
  }
}
