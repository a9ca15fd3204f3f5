import { isIP } from "node:net";
import { isAbsolute } from "node:path";
import { RuntimeError } from "../runtime-error.ts";

/** Where the server of a sidecar listens; never anywhere but on this machine. */
export type SidecarAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly basePath: string }
  | { readonly kind: "unix"; readonly socketPath: string; readonly basePath: string };

/** Longest path that a socket's address can hold (sockaddr_un of Linux, with its end). */
const maxSocketPath = 107;

/**
 * `http://127.0.0.1:8000`, `http://[::1]:8000/base` or `unix:/path/to/socket`.
 * @throws RuntimeError `runtime_config_invalid`
 */
export function parseSidecarUrl(text: string): SidecarAddress {
  if (text.startsWith("unix:")) {
    const socketPath = text.slice("unix:".length);
    if (!isAbsolute(socketPath) || socketPath.includes("\0") || Buffer.byteLength(socketPath) > maxSocketPath) {
      throw invalid(`'${text.slice(0, 200)}' is no absolute path of at most ${maxSocketPath} bytes`);
    }
    return { kind: "unix", socketPath, basePath: "" };
  }
  const url = URL.parse(text);
  if (url === null || url.protocol !== "http:") throw invalid(`'${text.slice(0, 200)}' is no http: or unix: address`);
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw invalid("the address of a sidecar has a host, a port and a path, nothing else");
  }
  const host = url.hostname.replace(/^\[|\]$/gu, "");
  // Names are not looked up: what "localhost" means is for a file on this machine to say.
  const loopback = (isIP(host) === 4 && host.startsWith("127.")) || host === "::1";
  if (!loopback) throw invalid(`${host} is no loopback address`);
  const port = url.port === "" ? 80 : Number(url.port);
  return { kind: "tcp", host, port, basePath: url.pathname.replace(/\/+$/u, "") };
}

function invalid(message: string): RuntimeError {
  return new RuntimeError("runtime_config_invalid", message);
}
