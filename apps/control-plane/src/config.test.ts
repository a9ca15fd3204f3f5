import { describe, expect, test } from "vitest";
import { parseConfig, toReachWarning } from "./config.ts";

describe("the configuration", () => {
  test("needs nothing", () => {
    expect(parseConfig([], {})).toMatchObject({
      httpPort: 8_443,
      mqttPort: 8_883,
      host: "127.0.0.1",
      tenant: "default",
    });
  });

  test.each<[string[], boolean]>([
    [[], false],
    [["--public-host", "plane.example.org"], true],
    [["--public-host", "plane.example.org", "--host", "::1"], true],
    [["--public-host", "plane.example.org", "--host", "0.0.0.0"], false],
    [["--public-host", "plane.localhost"], false],
    [["--public-host", "127.0.0.2"], false],
  ])("warns of a name that leads nowhere: %j is %s", (args, warns) => {
    const warning = toReachWarning(parseConfig(args, {}));
    if (warns) expect(warning).toMatch(/plane\.example\.org do not reach it.*--host 0\.0\.0\.0/u);
    else expect(warning).toBeNull();
  });

  test("takes the environment, and arguments before it", () => {
    const env = { FAIRLEAD_HTTP_PORT: "1000", FAIRLEAD_MQTT_PORT: "2000" };
    expect(parseConfig(["--mqtt-port", "3000"], env)).toMatchObject({ httpPort: 1_000, mqttPort: 3_000 });
  });

  test("narrows the operators of models, and names domains that nobody knows", () => {
    expect(parseConfig([], {}).models.allowDomains).toEqual(["ai.onnx", "ai.onnx.ml", "com.microsoft"]);
    const env = { FAIRLEAD_MODELS_DENY_OPERATORS: "Loop,com.microsoft::QMoE" };
    expect(parseConfig(["--models-allow-domains", "ai.onnx"], env).models).toEqual({
      allowDomains: ["ai.onnx"],
      denyOperators: ["Loop", "com.microsoft::QMoE"],
    });
    expect(() => parseConfig(["--models-allow-domains", "org.evil"], {})).toThrow(/--models-allow-domains/u);
    expect(() => parseConfig(["--models-deny-operators", "a b"], {})).toThrow(/--models-deny-operators/u);
  });

  test("reads networks for webhooks, and refuses what no list may open", () => {
    expect(parseConfig([], {}).webhooks).toEqual({ networks: [], allowsPlainHttp: false, giveUpMs: 86_400_000 });
    const { webhooks } = parseConfig(["--webhook-networks", "10.1.0.0/16, ::1"], {});
    expect(webhooks.networks.map(([address, bits]) => `${address.toString()}/${bits}`)).toEqual([
      "10.1.0.0/16",
      "::1/128",
    ]);
    for (const bad of ["169.254.0.0/16", "0.0.0.0/0", "10.1.0.1/16", "localhost"])
      expect(() => parseConfig(["--webhook-networks", bad], {}), bad).toThrow(/--webhook-networks/u);
  });

  test("names every bad option at once", () => {
    expect(() => parseConfig(["--http-port", "x", "--tenant", "A/B"], {})).toThrow(/--http-port.*--tenant/u);
    expect(() => parseConfig(["--nothing"], {})).toThrow(expect.objectContaining({ code: "config_invalid" }));
  });
});
