import { limits, toDevicePatterns, type Revocations } from "@fairlead/protocol";

export interface BrokerOptions {
  readonly tenant: string;
  readonly port: number;
  /** Paths on the broker's machine. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** Where the written files will lie on the broker's machine. */
  readonly folder: string;
  /** The broker refuses what `toMosquittoRevocations` lists there, and does not start before that is there. */
  readonly revocations: boolean;
}

/**
 * The plane's name in its client certificate. No device can be called so: the alphabet of device names has no full stop.
 */
export const planeUser = "fairlead.control-plane";

/** A packet holds the payload, its topic and a header. */
const maxPacketBytes = limits.mqttPayloadBytes + 4_096;

export type ConfigFiles = Readonly<Record<string, string>>;

const listName = "fairlead.crl";
const permissionsName = "fairlead.acl";

/** Mosquitto 2: mosquitto.conf(5). Identity comes from the certificate alone; what no line admits is refused. */
export function toMosquittoConfig(options: BrokerOptions): ConfigFiles {
  const { tenant, port, ca, cert, key, folder, revocations } = options;
  return {
    "mosquitto.conf": `# Written by fairlead broker config mosquitto; the devices of the tenant ${tenant} and nobody else.
listener ${port}
cafile ${ca}
certfile ${cert}
keyfile ${key}
${revocations ? `crlfile ${folder}/${listName}\n` : ""}require_certificate true
tls_version tlsv1.2
# The certificate's name is the user and the client id, so nobody can take a session over under another's id.
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file ${folder}/${permissionsName}
max_packet_size ${maxPacketBytes}
max_inflight_messages 32
max_queued_messages 1000
max_queued_bytes 16777216
max_keepalive 300
persistence false
`,
    [permissionsName]: toMosquittoPermissions(tenant, []),
  };
}

function toMosquittoPermissions(tenant: string, refused: readonly string[]): string {
  const { publish, subscribe } = toDevicePatterns(tenant, "%u");
  return `# %u is the name in the client's certificate.
${publish.map((topic) => `pattern write ${topic}`).join("\n")}
${subscribe.map((topic) => `pattern read ${topic}`).join("\n")}

user ${planeUser}
topic readwrite fairlead/v1/${tenant}/#
${refused.map((device) => `\nuser ${device}\ntopic deny #\n`).join("")}`;
}

/**
 * What tells a running Mosquitto of revocations: it reads both files again at SIGHUP. The list keeps connections from being
 * opened; one that is open when its device is let go hears and says nothing more, by its line among the permissions.
 */
export function toMosquittoRevocations(tenant: string, { crl, devices }: Revocations): ConfigFiles {
  return { [listName]: `${crl.trimEnd()}\n`, [permissionsName]: toMosquittoPermissions(tenant, devices) };
}

/** EMQX 5: listeners.ssl and an authorization file; the last rule refuses the rest. */
export function toEmqxConfig(options: Omit<BrokerOptions, "revocations">): ConfigFiles {
  const { tenant, port, ca, cert, key, folder } = options;
  const { publish, subscribe } = toDevicePatterns(tenant, "${username}");
  const list = (topics: readonly string[]) => topics.map((topic) => JSON.stringify(topic)).join(", ");
  return {
    "emqx.conf": `# Written by fairlead broker config emqx; the devices of the tenant ${tenant} and nobody else.
listeners.tcp.default.enable = false
listeners.ws.default.enable = false
listeners.wss.default.enable = false
listeners.ssl.default {
  bind = "0.0.0.0:${port}"
  ssl_options {
    cacertfile = "${ca}"
    certfile = "${cert}"
    keyfile = "${key}"
    verify = verify_peer
    fail_if_no_peer_cert = true
    versions = ["tlsv1.3", "tlsv1.2"]
  }
}
mqtt {
  peer_cert_as_username = cn
  peer_cert_as_clientid = cn
  max_packet_size = ${maxPacketBytes}B
  max_inflight = 32
  shared_subscription = false
}
authorization {
  no_match = deny
  deny_action = disconnect
  sources = [{ type = file, enable = true, path = "${folder}/${permissionsName}" }]
}
`,
    [permissionsName]: `{allow, {username, "${planeUser}"}, all, ["fairlead/v1/${tenant}/#"]}.
{allow, all, publish, [${list(publish)}]}.
{allow, all, subscribe, [${list(subscribe)}]}.
{deny, all}.
`,
  };
}
