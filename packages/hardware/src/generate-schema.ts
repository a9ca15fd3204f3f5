/* Writes firmware-configs/schema.json: `node packages/hardware/src/generate-schema.ts`. */
import { writeFile } from "node:fs/promises";
import { toProfileJsonSchema } from "./profile/profile.ts";

await writeFile(new URL("../../../firmware-configs/schema.json", import.meta.url), toProfileJsonSchema());
