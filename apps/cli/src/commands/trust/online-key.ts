import type { Command } from "../../command.ts";
import { CliError } from "../../errors.ts";
import { sanitize } from "../../output/sanitize.ts";

export const showOnlineKey: Command = {
  noun: "trust",
  verb: "online-key",
  summary: "Print the plane's online key (public half, PEM), to carry it to where roots are signed",
  options: [{ flags: "--new", description: "another one, which counts as soon as a root names it" }],
  help: `fairlead trust create --online-key FILE begins with it; fairlead keys rotate online --public-key FILE changes to it. Both then
ask no server.`,
  async run({ client, out }, input) {
    const { trust } = await client();
    const publicKey =
      input.flag("new") === true ? (await trust.addOnlineKey()).publicKey : (await trust.state()).onlineKeys.at(-1);
    if (publicKey === undefined)
      throw new CliError("trust_missing", "the plane names no online key", { hint: "fairlead trust online-key --new" });
    if (out.isStructured) return out.value({ publicKey });
    out.lines(publicKey.trimEnd().split("\n").map(sanitize));
  },
};
