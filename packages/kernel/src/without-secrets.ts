/** Tokens, secrets of webhooks, and what stands before the `@` of an address; each keeps so much that one sees what it was. */
const secrets = [
  [/(fl[ae]_)[A-Za-z0-9_-]{16,}(?:\.[0-9a-f]{1,64})?/gu, "$1…"],
  [/(whsec_)[A-Za-z0-9+/]{16,}={0,2}/gu, "$1…"],
  [/(:\/\/)[^\s/?#@]+@/gu, "$1…@"],
] as const;

/** Text that is written down or shown: a secret that somebody put where none belongs is not repeated. */
export function withoutSecrets(text: string): string {
  return secrets.reduce((kept, [pattern, mark]) => kept.replaceAll(pattern, mark), text);
}
