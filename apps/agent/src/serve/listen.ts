import { toErrorCode, toErrorMessage } from "@fairlead/kernel";
import { lstatSync, unlinkSync } from "node:fs";
import { connect, type Server } from "node:net";
import type { ServingAddress } from "./ipc.ts";
import { ServeError } from "./serving-error.ts";

/** Owner and group may connect; who else may reach the folder may not. */
const maskOfSockets = 0o117;

/**
 * @returns the address with the port that the system gave
 * @throws ServeError `port_taken` · `socket_taken` · `address_refused` · `config_invalid`, each with what to set
 */
export async function listen(server: Server, address: ServingAddress): Promise<ServingAddress> {
  if (address.kind === "unix") await removeStaleSocket(address.socketPath);
  await new Promise<void>((resolve, reject) => {
    const onError = (error: Error) => reject(toListenError(error, address));
    server.once("error", onError);
    const listener = () => {
      server.off("error", onError);
      resolve();
    };
    if (address.kind === "tcp") return void server.listen(address.port, address.host, listener);
    // The socket is made within this call: it is never there with wider permissions, as it would be before a chmod.
    const before = process.umask(maskOfSockets);
    try {
      server.listen(address.socketPath, listener);
    } finally {
      process.umask(before);
    }
  });
  if (address.kind === "unix") return address;
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new ServeError("config_invalid", "the server has no port");
  return { kind: "tcp", host: address.host, port: bound.port };
}

function describe(address: ServingAddress): string {
  return address.kind === "unix" ? `the socket ${address.socketPath}` : `port ${address.port} of ${address.host}`;
}

function toListenError(error: unknown, address: ServingAddress): ServeError {
  const where = describe(address);
  if (toErrorCode(error) === "EADDRINUSE") {
    const code = address.kind === "unix" ? "socket_taken" : "port_taken";
    return new ServeError(code, `${where} is in use by another program`, error);
  }
  return new ServeError("address_refused", `${where} cannot be used (${toErrorMessage(error)})`, error);
}

/** A killed process leaves its socket behind. Only a socket may be removed, and only one at which nobody answers. */
async function removeStaleSocket(path: string): Promise<void> {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return;
  if (!status.isSocket())
    throw new ServeError("address_refused", `the socket ${path} cannot be made: something that is no socket is there`);
  if (await isAnswered(path)) throw new ServeError("socket_taken", `the socket ${path} is in use by another program`);
  unlinkSync(path);
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error) => {
      if (toErrorCode(error) === "ECONNREFUSED") return resolve(false);
      // A backlog that is full is somebody's; what may not be asked is not ours to remove.
      if (toErrorCode(error) === "EAGAIN") return resolve(true);
      reject(toListenError(error, { kind: "unix", socketPath: path }));
    });
  });
}
