import { Agent, request } from "undici";
import { toEntry } from "./entries.ts";
import { OwnedProcess } from "./process.ts";

export interface CliCall {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface CliAnswer {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

/** Socket of `warm-cli.ts`, where there is one. */
export const warmCliVariable = "FAIRLEAD_TEST_CLI";

/** Runs the real command line as its own process. Standard output and standard error come apart. */
export async function runCli(args: readonly string[], env: Readonly<Record<string, string>>): Promise<CliAnswer> {
  const owned = new OwnedProcess({ name: "fairlead", entry: toEntry("cli"), args, env });
  let stdout = "";
  let stderr = "";
  owned.child.stdout?.on("data", (text: string) => (stdout += text));
  owned.child.stderr?.on("data", (text: string) => (stderr += text));
  const closed = new Promise<void>((resolve) => owned.child.once("close", () => resolve()));
  const code = await owned.exited();
  await closed;
  return { code, stdout, stderr };
}

/**
 * The same command in a process that has begun before, which takes a twentieth of the time: for what a test only prepares or
 * asks with. What it says of processes, streams and signals is for `runCli`.
 */
export async function runWarmCli(args: readonly string[], env: Readonly<Record<string, string>>): Promise<CliAnswer> {
  const socketPath = process.env[warmCliVariable];
  if (socketPath === undefined) return runCli(args, env);
  const whole = { ...process.env, NO_COLOR: "1", ...env };
  const dispatcher = new Agent({ connect: { socketPath }, headersTimeout: 0, bodyTimeout: 0 });
  try {
    const body = JSON.stringify({ args, env: whole });
    const answer = await request("http://localhost/", { method: "POST", body, dispatcher });
    return (await answer.body.json()) as CliAnswer;
  } finally {
    await dispatcher.close();
  }
}

/** Runs a command that must succeed. */
export async function prepareWithCli(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<CliAnswer> {
  const answer = await runWarmCli(args, env);
  if (answer.code !== 0) throw new Error(`fairlead ${args.join(" ")}: exit ${answer.code}\n${answer.stderr}`);
  return answer;
}

/** Runs a command that must succeed and answer JSON. */
export async function runCliJson<Answer>(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Answer> {
  return JSON.parse((await prepareWithCli([...args, "-o", "json"], env)).stdout) as Answer;
}
