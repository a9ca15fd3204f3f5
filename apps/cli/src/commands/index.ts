import type { Command } from "../command.ts";

type Load = () => Promise<{ readonly commands: readonly Command[] }>;

const load: Readonly<Record<string, Load>> = {
  devices: () => import("./devices/index.ts"),
  enrolments: () => import("./enrolments/index.ts"),
  models: () => import("./models/index.ts"),
  keys: () => import("./keys/index.ts"),
  tokens: () => import("./tokens/index.ts"),
  webhooks: () => import("./webhooks/index.ts"),
  trust: () => import("./trust/index.ts"),
  releases: () => import("./releases/index.ts"),
  rollouts: () => import("./rollouts/index.ts"),
  remediations: () => import("./remediations/index.ts"),
  broker: () => import("./broker/index.ts"),
  alerts: () => import("./alerts/index.ts"),
  audit: () => import("./audit/index.ts"),
  apply: () => import("./apply/index.ts"),
  login: () => import("./login/index.ts"),
  logout: () => import("./login/index.ts"),
  contexts: () => import("./contexts/index.ts"),
};

/**
 * The commands of one noun, so that `devices list` does not wait for what signs releases; every command where there is no
 * such noun. Program and completion are built from this table.
 */
export async function loadCommands(noun: string | null): Promise<readonly Command[]> {
  const one = noun !== null && Object.hasOwn(load, noun) ? load[noun] : undefined;
  const loaded = await Promise.all((one === undefined ? Object.values(load) : [one]).map((each) => each()));
  return [...new Set(loaded.flatMap(({ commands }) => commands))];
}
