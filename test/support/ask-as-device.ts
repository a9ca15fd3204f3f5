import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Agent, request } from "undici";

/** What the plane answers to whoever shows what lies in this identity folder: the status. */
export async function askAsDevice(planeUrl: string, identity: string): Promise<number> {
  const read = (file: string): string => readFileSync(join(identity, file), "utf8");
  const connect = { ca: read("ca.pem"), key: read("device.key"), cert: read("device.crt") };
  const dispatcher = new Agent({ connect });
  const answer = await request(`${planeUrl}/api/v1/device/certificate`, { dispatcher });
  await answer.body.dump();
  await dispatcher.close();
  return answer.statusCode;
}
