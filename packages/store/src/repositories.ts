import type { Database } from "./database.ts";
import { createEnrolmentTokenRepository } from "./repositories/enrolment-tokens.ts";

/** Every aggregate's repository, bound to one connection. A new aggregate is one line here. */
export function createRepositories(db: Database) {
  return {
    enrolmentTokens: createEnrolmentTokenRepository(db),
  };
}

export type Repositories = ReturnType<typeof createRepositories>;
