/** A name from the model, safe to print: JSON escapes control characters, and what turns text around is replaced. */
export function quote(name: string): string {
  return JSON.stringify(name.slice(0, 120)).replaceAll(/[\u007F-\u009F\p{Cf}\p{Cs}]/gu, "\uFFFD");
}
