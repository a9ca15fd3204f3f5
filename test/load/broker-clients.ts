import { toTopic } from "@fairlead/protocol";
import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";
import { createTestAuthority, type TestIdentity } from "@fairlead/bus/testing/certificates";

export const tenant = "acme";

export interface BenchFleet {
  readonly tls: { readonly key: string; readonly cert: string; readonly ca: string };
  readonly devices: readonly (TestIdentity & { readonly name: string })[];
}

/** A real authority, a broker's certificate and one for each device. */
export async function createBenchFleet(count: number): Promise<BenchFleet> {
  const authority = await createTestAuthority();
  const tls = { ...(await authority.issueServer("127.0.0.1")), ca: authority.ca };
  const names = Array.from({ length: count }, (_, index) => `dev-${index}`);
  const devices: (TestIdentity & { name: string })[] = [];
  for (const name of names) devices.push({ name, ...(await authority.issueDevice(tenant, name)) });
  return { tls, devices };
}

function toText(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
}

/** Fixed header and body (MQTT 3.1.1 §2.2). */
function toPacket(header: number, body: Buffer): Buffer {
  const length: number[] = [];
  let rest = body.length;
  do {
    length.push((rest % 128) + (rest >= 128 ? 128 : 0));
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return Buffer.concat([Buffer.from([header, ...length]), body]);
}

/** A session from TCP to CONNACK over mutual TLS, spoken in bytes, so that the client is not what is measured. */
export async function openSession(port: number, fleet: BenchFleet, index: number): Promise<TLSSocket> {
  const device = fleet.devices[index % fleet.devices.length];
  if (device === undefined) throw new Error("the fleet is empty");
  const { key, cert, name } = device;
  const socket = connect({ host: "127.0.0.1", port, ca: fleet.tls.ca, key, cert });
  socket.setNoDelay(true);
  // A session that is taken over by the next one of its device ends with a reset.
  socket.on("error", () => socket.destroy());
  const connack = Promise.race([once(socket, "data"), once(socket, "close")]);
  const greeting = Buffer.concat([toText("MQTT"), Buffer.from([4, 2, 0, 240]), toText(name)]);
  socket.write(toPacket(0x10, greeting));
  const [answer] = (await connack) as [unknown];
  if (!Buffer.isBuffer(answer) || answer[0] !== 0x20 || answer[3] !== 0) throw new Error(`${name} was refused`);
  return socket;
}

/** `count` publications at quality 1 by one device, all on the way at once, until each is acknowledged. */
export async function publishBurst(
  socket: TLSSocket,
  device: string,
  load: { readonly count: number; readonly payloadBytes: number },
): Promise<void> {
  const topic = toText(toTopic({ kind: "up", tenant, device, channel: "telemetry" }));
  const payload = Buffer.alloc(load.payloadBytes, "x");
  const packets = Array.from({ length: load.count }, (_, index) =>
    toPacket(0x32, Buffer.concat([topic, Buffer.from([(index + 1) >> 8, (index + 1) & 255]), payload])),
  );
  const bytes = Buffer.concat(packets);
  let left = 4 * load.count;
  const acknowledged = new Promise<void>((resolve, reject) => {
    socket.once("close", () => reject(new Error("the broker closed")));
    socket.on("data", function take(chunk: Buffer) {
      left -= chunk.length;
      if (left > 0) return;
      socket.off("data", take);
      resolve();
    });
  });
  socket.write(bytes);
  await acknowledged;
  socket.removeAllListeners("close");
}
