import ipaddr from "ipaddr.js";
import { EgressError } from "./errors.ts";

/** What an address that somebody else named may look like. */
export interface TargetPolicy {
  readonly allowsPlainHttp: boolean;
  /** Ports that may be named; `any` for servers of one's own. */
  readonly ports: "any" | readonly number[];
}

export interface Target {
  readonly protocol: "http:" | "https:";
  /** A name in its ASCII form, or a numeric address without brackets. */
  readonly host: string;
  readonly isAddress: boolean;
  readonly port: number;
  /** Path and query, as they are sent. */
  readonly path: string;
  /** `host` or `host:port`, as the header says it. */
  readonly authority: string;
}

const maxUrlCharacters = 2_048;
/** RFC 1123 §2.1; no trailing dot, so that one name has one form. */
const namePattern = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?)*$/u;

function refuse(why: string): never {
  throw new EgressError("url_refused", `the address is refused: ${why}`);
}

/**
 * Reads a URL strictly. The WHATWG parser turns every spelling of an IPv4 address (`0x7f.1`, `2130706433`, `127.1`) into the
 * four decimal parts, so what follows judges addresses and not spellings.
 * @throws EgressError `url_refused`
 */
export function parseTarget(text: string, policy: TargetPolicy): Target {
  if (text.length > maxUrlCharacters) return refuse(`longer than ${maxUrlCharacters} characters`);
  // The parser drops tabs and line ends and takes a backslash for a slash: two readers would see two addresses.
  if (!/^[\x21-\x7e]+$/u.test(text) || text.includes("\\")) return refuse("characters that a URL does not have");
  if (!/^https?:\/\/[^/]/iu.test(text)) return refuse("only https:// (or http:// where it is allowed) is spoken");
  if (!URL.canParse(text)) return refuse("not a URL");
  const url = new URL(text);
  const { protocol } = url;
  if (protocol !== "https:" && protocol !== "http:") return refuse(`${protocol} is not spoken`);
  if (protocol === "http:" && !policy.allowsPlainHttp) return refuse("plain http is not allowed here");
  const authority = /^[a-z]+:\/\/([^/?#]*)/iu.exec(text)?.[1] ?? "";
  if (authority.includes("@")) return refuse("no user names or passwords in it");
  if (text.includes("#")) return refuse("no fragment in it");
  const port = url.port === "" ? (protocol === "https:" ? 443 : 80) : Number(url.port);
  if (port === 0) return refuse("port 0");
  if (policy.ports !== "any" && !policy.ports.includes(port)) return refuse(`port ${port} is not allowed here`);
  const host = url.hostname.replace(/^\[(.*)\]$/u, "$1");
  const isAddress = ipaddr.IPv4.isValidFourPartDecimal(host) || ipaddr.IPv6.isValid(host);
  if (!isAddress && !namePattern.test(host)) return refuse("not a host name");
  return { protocol, host, isAddress, port, path: `${url.pathname}${url.search}`, authority: url.host };
}
