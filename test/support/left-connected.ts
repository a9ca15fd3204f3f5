import { malformedConnects, malformedPackets, toConnect } from "@fairlead/bus/testing/malformed-packets";
import { connect, type TLSSocket } from "node:tls";
import type { Credentials } from "./hostile-clients.ts";

const pingreq = Buffer.from([0xc0, 0]);
const pingresp = Buffer.from([0xd0, 0]);
/** What a broker that neither answers nor closes is given; it counts as one that leaves the connection open. */
const patienceMs = 2_000;

/** Is the connection still served after these bytes? Asked with a PINGREQ behind them. */
async function isServed(socket: TLSSocket, bytes: Uint8Array): Promise<boolean> {
  return await new Promise<boolean>((resolve) => {
    let heard = Buffer.alloc(0);
    const timer = setTimeout(() => resolve(true), patienceMs);
    const answer = (served: boolean): void => {
      clearTimeout(timer);
      resolve(served);
    };
    socket.on("data", (chunk: Buffer) => {
      heard = Buffer.concat([heard, chunk]);
      if (heard.includes(pingresp)) answer(true);
    });
    socket.once("close", () => answer(false));
    socket.write(Buffer.concat([bytes, pingreq]));
  });
}

async function open(port: number, { ca, device }: Credentials): Promise<TLSSocket> {
  const socket = connect({ host: "127.0.0.1", port, ca, ...device }).on("error", () => undefined);
  await new Promise<void>((resolve, reject) => {
    socket.once("secureConnect", resolve);
    socket.once("close", () => reject(new Error("the broker closed a connection that had said nothing")));
  });
  return socket;
}

async function greet(socket: TLSSocket): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.once("data", (chunk: Buffer) =>
      chunk[0] === 0x20 && chunk[3] === 0 ? resolve() : reject(new Error("a good CONNECT was refused")),
    );
    socket.once("close", () => reject(new Error("a good CONNECT was refused")));
    socket.write(toConnect());
  });
  socket.removeAllListeners("data");
}

/** The names of the malformed packets after which a broker goes on serving the connection that sent them. */
export async function findLeftConnected(port: number, credentials: Credentials): Promise<string[]> {
  const left: string[] = [];
  for (const [packets, isFirst] of [
    [malformedConnects, true],
    [malformedPackets, false],
  ] as const)
    for (const [name, bytes] of packets) {
      const socket = await open(port, credentials);
      if (!isFirst) await greet(socket);
      if (await isServed(socket, bytes)) left.push(isFirst ? `a CONNECT with ${name}` : name);
      socket.destroy();
    }
  return left;
}

export const malformedKinds = malformedConnects.length + malformedPackets.length;
