import { runCliJson } from "./cli.ts";

/** The environment of a command line whose token belongs to somebody else, who may approve. */
export async function createSecondPerson(
  cliEnv: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, string>>> {
  const owner = ["--role", "approver", "--person", "second-person", "--description", "a second person"];
  const { token } = await runCliJson<{ token: string }>(["tokens", "create", ...owner], cliEnv);
  return { ...cliEnv, FAIRLEAD_TOKEN: token };
}
