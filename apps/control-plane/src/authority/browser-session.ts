import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/** RFC 6265bis §4.1.3.2: `__Host-` is only taken over TLS, for this host alone and for every path. */
const cookieName = "__Host-fairlead";

export function createSessionSecret(): string {
  return randomBytes(32).toString("base64url");
}

/** What is kept of the cookie. It has 256 bits of chance, so a plain hash cannot be searched. */
export function toSessionHash(secret: string): string {
  return createHash("sha256").update(secret, "utf8").digest("hex");
}

/** Follows from the cookie, so nothing has to be kept for it; who cannot read the cookie cannot make it. */
export function toCsrfToken(secret: string): string {
  return createHmac("sha256", secret).update("csrf").digest("base64url");
}

export function toSetCookie(secret: string, maxAgeS: number): string {
  return `${cookieName}=${secret}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=${maxAgeS}`;
}

/** The secret of the session; undefined when there is none, or more than one. */
export function readSessionSecret(cookie: string | null): string | undefined {
  const found = (cookie ?? "")
    .split(";")
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${cookieName}=`));
  const [only, ...others] = found;
  const secret = only?.slice(cookieName.length + 1);
  return others.length === 0 && secret !== undefined && /^[\w-]{43}$/u.test(secret) ? secret : undefined;
}

export interface SiteOfRequest {
  readonly method: string;
  /** The header `host`, as the browser wrote it. */
  readonly host: string | null;
  readonly origin: string | null;
  /** `Sec-Fetch-Site` (Fetch Metadata §2.4); browsers send it, and no script can. */
  readonly fetchSite: string | null;
  readonly csrfToken: string | null;
}

function isSame(left: string, right: string): boolean {
  const [first, second] = [left, right].map((text) => createHash("sha256").update(text, "utf8").digest());
  return first !== undefined && second !== undefined && timingSafeEqual(first, second);
}

/**
 * Why a request that a cookie vouches for may not be served; null when it may. A browser sends the cookie by itself, so a
 * change must show that a page of the plane wanted it: by its origin, and by a token that other pages cannot read.
 */
export function whyForeign(request: SiteOfRequest, secret: string): string | null {
  const { method, host, origin, fetchSite, csrfToken } = request;
  const isRead = method === "GET" || method === "HEAD";
  const isOwnSite = fetchSite === null || fetchSite === "same-origin" || (isRead && fetchSite === "none");
  if (!isOwnSite) return "the request comes from another site";
  if (isRead) return null;
  if (host === null || origin !== `https://${host}`) return "the request does not come from a page of the plane";
  if (csrfToken === null || !isSame(csrfToken, toCsrfToken(secret)))
    return "the header x-csrf-token is missing or wrong";
  return null;
}
