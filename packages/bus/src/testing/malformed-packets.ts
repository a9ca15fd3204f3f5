import { generate } from "mqtt-packet";

/** A good CONNECT of the device `cam-1`. */
export function toConnect(): Buffer {
  return generate({
    cmd: "connect",
    clientId: "cam-1",
    clean: true,
    keepalive: 60,
    protocolId: "MQTT",
    protocolVersion: 4,
  });
}

/** The remaining length of a fixed header (MQTT 3.1.1 §2.2.3). */
export function toLength(bytes: number): number[] {
  return bytes < 128 ? [bytes] : [(bytes % 128) + 128, ...toLength(Math.floor(bytes / 128))];
}

/** Length and bytes of a text. */
export function toText(text: string | Uint8Array): Buffer {
  const bytes = Buffer.from(text as Uint8Array);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
}

function toPacket(header: number, ...parts: readonly (Uint8Array | readonly number[])[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  return Buffer.concat([Buffer.from([header, body.length]), body]);
}

const id = [0, 7];
const topic = toText("a/b");
/** Not UTF-8, or text that MQTT forbids, by name. */
const texts: readonly (readonly [string, Uint8Array])[] = [
  ["a NUL", Buffer.from("a\0b")],
  ["a control character", Buffer.from("a\u0007b")],
  ["a delete character", Buffer.from("a\u007Fb")],
  ["a C1 control character", Buffer.from("a\u0085b")],
  ["U+FFFF", Buffer.from("a\uFFFFb")],
  ["U+FDD0", Buffer.from("a\uFDD0b")],
  ["a surrogate", Buffer.from([0x61, 0xed, 0xa0, 0x80])],
  ["an overlong slash", Buffer.from([0x61, 0xc0, 0xaf])],
  ["a lone continuation", Buffer.from([0x61, 0x80])],
  ["a cut character", Buffer.from([0x61, 0xe2, 0x82])],
  ["a value beyond Unicode", Buffer.from([0x61, 0xf4, 0x90, 0x80, 0x80])],
];
const toConnectWith = (flags: number, ...rest: readonly Uint8Array[]): Buffer =>
  toPacket(0x10, toText("MQTT"), [4, flags, 0, 60], toText("cam-1"), ...rest);

const utf8Id = (bytes: Uint8Array): Buffer => toPacket(0x10, toText("MQTT"), [4, 2, 0, 60], toText(bytes));

/** A first packet that is a CONNECT and must not be, each with what is wrong with it (MQTT 3.1.1, 3.1). */
export const malformedConnects: readonly (readonly [string, Uint8Array])[] = [
  ["a reserved flag", toConnectWith(0x03)],
  ["a will of quality 3", toConnectWith(0x1e, topic, toText("gone"))],
  ["the quality of a will without one", toConnectWith(0x0a)],
  ["the retain flag of a will without one", toConnectWith(0x22)],
  ["a password without a user name", toConnectWith(0x42, toText("secret"))],
  ["a will that is missing", toConnectWith(0x06)],
  ["a will to a wildcard", toConnectWith(0x06, toText("a/#"), toText("gone"))],
  ["a will to an empty topic", toConnectWith(0x06, toText(""), toText("gone"))],
  ["a user name that is missing", toConnectWith(0x82)],
  ["bytes after its end", toConnectWith(0x02, Buffer.from([1]))],
  ["a flag byte that is missing", toPacket(0x10, toText("MQTT"), [4])],
  ["a flag in its header", toPacket(0x11, toText("MQTT"), [4, 2, 0, 60], toText("cam-1"))],
  ...texts.map(([name, bytes]): [string, Uint8Array] => [`a client identifier that holds ${name}`, utf8Id(bytes)]),
  ...texts.map(([name, bytes]): [string, Uint8Array] => [
    `a user name that holds ${name}`,
    toConnectWith(0x82, toText(bytes)),
  ]),
  ...texts.map(([name, bytes]): [string, Uint8Array] => [
    `a will's topic that holds ${name}`,
    toConnectWith(0x06, toText(bytes), toText("gone")),
  ]),
];

/** Packets that a connected client must not send, each with what is wrong with it (MQTT 3.1.1). */
export const malformedPackets: readonly (readonly [string, Uint8Array])[] = [
  ["type 0", toPacket(0x00)],
  ["a CONNACK from a client", toPacket(0x20, [0, 0])],
  ["a SUBACK from a client", toPacket(0x90, [...id, 0])],
  ["an UNSUBACK from a client", toPacket(0xb0, id)],
  ["a PINGRESP from a client", toPacket(0xd0)],
  ["type 15", toPacket(0xf0)],
  ["a second CONNECT", toConnect()],
  ["a CONNECT with a reserved flag", toConnectWith(0x03)],
  ...[1, 2, 4, 8].map((flag): [string, Uint8Array] => [`a PINGREQ with flag ${flag}`, toPacket(0xc0 | flag)]),
  ...[1, 2, 4, 8].map((flag): [string, Uint8Array] => [`a DISCONNECT with flag ${flag}`, toPacket(0xe0 | flag)]),
  ...[1, 2, 4, 8].map((flag): [string, Uint8Array] => [`a PUBACK with flag ${flag}`, toPacket(0x40 | flag, id)]),
  ...[1, 2, 4, 8].map((flag): [string, Uint8Array] => [`a PUBREC with flag ${flag}`, toPacket(0x50 | flag, id)]),
  ...[0, 1, 3, 4, 8].map((flags): [string, Uint8Array] => [`a PUBREL with flags ${flags}`, toPacket(0x60 | flags, id)]),
  ...[1, 2, 4, 8].map((flag): [string, Uint8Array] => [`a PUBCOMP with flag ${flag}`, toPacket(0x70 | flag, id)]),
  ...[0, 1, 3, 10].map((flags): [string, Uint8Array] => [
    `a SUBSCRIBE with flags ${flags}`,
    toPacket(0x80 | flags, id, topic, [0]),
  ]),
  ...[0, 1, 3, 10].map((flags): [string, Uint8Array] => [
    `an UNSUBSCRIBE with flags ${flags}`,
    toPacket(0xa0 | flags, id, topic),
  ]),
  ["a PINGREQ with a body", toPacket(0xc0, [0])],
  ["a DISCONNECT with a body", toPacket(0xe0, [0])],
  ["a PUBACK of packet 0", toPacket(0x40, [0, 0])],
  ["a PUBREC of packet 0", toPacket(0x50, [0, 0])],
  ["a PUBREL of packet 0", toPacket(0x62, [0, 0])],
  ["a PUBCOMP of packet 0", toPacket(0x70, [0, 0])],
  ["a PUBACK that is cut", toPacket(0x40, [0])],
  ["a PUBACK that is too long", toPacket(0x40, [0, 7, 0])],
  ["a PUBLISH with quality 3", toPacket(0x36, topic, id)],
  ["a PUBLISH at quality 0 that is a duplicate", toPacket(0x38, topic)],
  ["a PUBLISH at quality 1 with packet 0", toPacket(0x32, topic, [0, 0])],
  ["a PUBLISH at quality 2 with packet 0", toPacket(0x34, topic, [0, 0])],
  ["a PUBLISH without its packet number", toPacket(0x32, topic)],
  ["a PUBLISH with an empty topic", toPacket(0x30, [0, 0])],
  ["a PUBLISH to +", toPacket(0x30, toText("a/+/b"))],
  ["a PUBLISH to #", toPacket(0x30, toText("a/#"))],
  ["a PUBLISH whose topic is longer than itself", toPacket(0x30, [0, 9, 0x61])],
  ["a PUBLISH without a topic", toPacket(0x30)],
  ["a SUBSCRIBE of packet 0", toPacket(0x82, [0, 0], topic, [0])],
  ["a SUBSCRIBE to nothing", toPacket(0x82, id)],
  ["a SUBSCRIBE to an empty filter", toPacket(0x82, id, [0, 0], [0])],
  ["a SUBSCRIBE with quality 3", toPacket(0x82, id, topic, [3])],
  ["a SUBSCRIBE with reserved bits", toPacket(0x82, id, topic, [0x81])],
  ["a SUBSCRIBE without a quality", toPacket(0x82, id, topic)],
  ["a SUBSCRIBE to a#", toPacket(0x82, id, toText("a#"), [0])],
  ["a SUBSCRIBE to #/a", toPacket(0x82, id, toText("#/a"), [0])],
  ["a SUBSCRIBE to a+/b", toPacket(0x82, id, toText("a+/b"), [0])],
  ["a SUBSCRIBE to +a", toPacket(0x82, id, toText("+a"), [0])],
  ["a SUBSCRIBE that is cut", toPacket(0x82, id, [0, 9, 0x61])],
  ["an UNSUBSCRIBE of packet 0", toPacket(0xa2, [0, 0], topic)],
  ["an UNSUBSCRIBE from nothing", toPacket(0xa2, id)],
  ["an UNSUBSCRIBE from an empty filter", toPacket(0xa2, id, [0, 0])],
  ...texts.map(([name, bytes]): [string, Uint8Array] => [
    `a PUBLISH whose topic holds ${name}`,
    toPacket(0x30, toText(bytes)),
  ]),
  ...texts.map(([name, bytes]): [string, Uint8Array] => [
    `a SUBSCRIBE whose filter holds ${name}`,
    toPacket(0x82, id, toText(bytes), [0]),
  ]),
  ...texts.map(([name, bytes]): [string, Uint8Array] => [
    `an UNSUBSCRIBE whose filter holds ${name}`,
    toPacket(0xa2, id, toText(bytes)),
  ]),
];
