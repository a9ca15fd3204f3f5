import { CodedError } from "@fairlead/kernel";
import { isAbsolute, join } from "node:path";
import type { ServingAddress } from "../serve/ipc.ts";

/** Longest path that fits into `sockaddr_un` of Linux with its end, in bytes of UTF-8. */
const maxSocketBytes = 107;

interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly socket: string | null;
}

/** Where the endpoint is: the socket where one is named, else host and port. @throws CodedError `config_invalid` */
export function toServingAddress({ host, port, socket }: Endpoint, root: string): ServingAddress {
  if (socket === null) return { kind: "tcp", host, port };
  const socketPath = isAbsolute(socket) ? socket : join(root, socket);
  if (Buffer.byteLength(socketPath) > maxSocketBytes)
    throw new CodedError("config_invalid", `inference.socket: ${socketPath} is longer than ${maxSocketBytes} bytes`, {
      hint: "name a shorter one, such as /run/fairlead/inference.sock",
    });
  return { kind: "unix", socketPath };
}
