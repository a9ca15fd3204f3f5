import { toEntry } from "./entries.ts";
import { OwnedProcess } from "./process.ts";

export interface CliAnswer {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

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

/** Runs a command that must succeed and answer JSON. */
export async function runCliJson<Answer>(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Answer> {
  const answer = await runCli([...args, "-o", "json"], env);
  if (answer.code !== 0) throw new Error(`fairlead ${args.join(" ")}: exit ${answer.code}\n${answer.stderr}`);
  return JSON.parse(answer.stdout) as Answer;
}
