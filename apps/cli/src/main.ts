#!/usr/bin/env node
import { enableCompileCache } from "node:module";
import { toCacheFolder } from "./cache-folder.ts";

// Arguments may hold a token: in the process list this stands in their place.
process.title = "fairlead";
// Compiling takes a third of a short command's time. Where the folder cannot be written nothing is kept, and nothing fails.
enableCompileCache(toCacheFolder(process.env));
// npm runs a script in the project's folder; the files that are named lie where it was called.
const { npm_lifecycle_event: script, INIT_CWD: calledIn } = process.env;
if (script === "fairlead" && calledIn !== undefined) process.chdir(calledIn);
await import("./start.ts");
