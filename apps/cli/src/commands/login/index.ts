import type { Command } from "../../command.ts";
import { login, logout } from "./login.ts";

export const commands: readonly Command[] = [login, logout];
