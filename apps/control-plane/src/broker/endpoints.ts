import { isIPv6 } from "node:net";
import { CodedError } from "@fairlead/kernel";

/** Under which addresses the world reaches the plane; known once both listeners are up. */
export interface Endpoints {
  readonly apiUrl: () => string;
  readonly mqttUrl: () => string;
  setHttpPort(port: number): void;
  setMqttPort(port: number): void;
}

export function createEndpoints(publicHost: string): Endpoints {
  const ports = new Map<"http" | "mqtt", number>();
  const host = isIPv6(publicHost) ? `[${publicHost}]` : publicHost;
  const portOf = (name: "http" | "mqtt"): number => {
    const port = ports.get(name);
    if (port === undefined)
      throw new CodedError("unavailable", "the plane is starting", { hint: "try again in a second" });
    return port;
  };
  return {
    apiUrl: () => `https://${host}:${portOf("http")}`,
    mqttUrl: () => `mqtts://${host}:${portOf("mqtt")}`,
    setHttpPort: (port) => void ports.set("http", port),
    setMqttPort: (port) => void ports.set("mqtt", port),
  };
}
