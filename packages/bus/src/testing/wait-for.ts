/** Waits until the question is answered with yes; fails loudly after the deadline. */
export async function waitFor(question: () => boolean, what: string, timeoutMs = 4_000): Promise<void> {
  const endMs = Date.now() + timeoutMs;
  while (!question()) {
    if (Date.now() > endMs) throw new Error(`waited ${timeoutMs} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
