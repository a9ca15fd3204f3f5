import { describe, expect, it } from "vitest";
import { planeUser, toEmqxConfig, toMosquittoConfig, toMosquittoRevocations } from "./broker-config.ts";

const options = { tenant: "acme", port: 8_883, ca: "/etc/ca.pem", cert: "/etc/cert.pem", key: "/etc/key.pem" };
const files = toEmqxConfig({ ...options, folder: "/etc/emqx" });
const config = files["emqx.conf"] ?? "";

describe("what is written for EMQX", () => {
  it("gives a device its own topics by the name in its certificate, the plane those of its tenant, and nobody more", () => {
    const rules = (files["fairlead.acl"] ?? "").trimEnd().split("\n");
    const [plane, publish, subscribe, rest, ...more] = rules;
    expect(plane).toBe(`{allow, {username, "${planeUser}"}, all, ["fairlead/v1/acme/#"]}.`);
    expect(publish).toMatch(/^\{allow, all, publish, \[.+\]\}\.$/u);
    expect(subscribe).toMatch(/^\{allow, all, subscribe, \[.+\]\}\.$/u);
    expect([rest, ...more]).toEqual(["{deny, all}."]);
    const topicsOf = (rule = "") => JSON.parse(/\[.*\]/u.exec(rule)?.[0] ?? "") as string[];
    expect(topicsOf(publish)).toContain("fairlead/v1/acme/${username}/up/telemetry");
    for (const topic of topicsOf(publish)) expect(topic).toMatch(/^fairlead\/v1\/acme\/\$\{username\}\/up\//u);
    for (const topic of topicsOf(subscribe))
      expect(topic).toMatch(/^fairlead\/v1\/acme\/(?:\$\{username\}\/down\/.+|host)$/u);
  });

  it("opens one listener, which asks for a certificate and takes both names of a client from it", () => {
    for (const kind of ["tcp", "ws", "wss"]) expect(config).toContain(`listeners.${kind}.default.enable = false`);
    for (const line of [
      ...["verify = verify_peer", "fail_if_no_peer_cert = true", "peer_cert_as_username = cn"],
      ...["peer_cert_as_clientid = cn", "no_match = deny", "deny_action = disconnect", "shared_subscription = false"],
      `path = "/etc/emqx/fairlead.acl"`,
    ])
      expect(config).toContain(line);
    // A size in EMQX's configuration has a unit (B, KB, MB, GB).
    expect(config).toMatch(/^ {2}max_packet_size = \d+B$/mu);
  });
});

describe("what is written for Mosquitto", () => {
  it("names the list of revocations only where somebody brings it", () => {
    const without = toMosquittoConfig({ ...options, folder: "/etc/m", revocations: false });
    const withList = toMosquittoConfig({ ...options, folder: "/etc/m", revocations: true });
    expect(without["mosquitto.conf"]).not.toContain("crlfile");
    expect(withList["mosquitto.conf"]).toMatch(/^crlfile \/etc\/m\/fairlead\.crl$/mu);
  });

  it("refuses everything to a device that was let go, beside the permissions that all have", () => {
    const revoked = { crl: "-----BEGIN X509 CRL-----", nextUpdateMs: 1, devices: ["cam-1", "cam-2"] };
    const { "fairlead.acl": permissions = "", "fairlead.crl": list } = toMosquittoRevocations("acme", revoked);
    expect(list).toBe("-----BEGIN X509 CRL-----\n");
    const all = toMosquittoConfig({ ...options, folder: "/etc/m", revocations: true })["fairlead.acl"] ?? "";
    expect(permissions.startsWith(all)).toBe(true);
    expect(permissions.slice(all.length)).toBe("\nuser cam-1\ntopic deny #\n\nuser cam-2\ntopic deny #\n");
  });
});
