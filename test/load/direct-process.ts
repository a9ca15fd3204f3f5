import { fork, type ChildProcess } from "node:child_process";

export interface DirectModel {
  readonly model: Uint8Array;
  /** Of its only input, `image`, in float32. */
  readonly shape: readonly number[];
  readonly pixels: Float32Array;
}

/** `direct-main.ts`: the same `session.run()` in a process that does nothing else. */
export class DirectProcess implements Disposable {
  readonly #child: ChildProcess = fork(new URL("direct-main.ts", import.meta.url), { serialization: "advanced" });

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  async open(model: DirectModel): Promise<void> {
    await this.#ask(model);
  }

  /** @returns the milliseconds of each call */
  readonly time = async (calls: number): Promise<number[]> => (await this.#ask(calls)) as number[];

  [Symbol.dispose](): void {
    this.#child.kill();
  }

  async #ask(question: DirectModel | number): Promise<unknown> {
    const answer = new Promise((resolve, reject) => {
      this.#child
        .once("message", resolve)
        .once("exit", (code) => reject(new Error(`direct-main.ts ended with ${code}`)));
    });
    this.#child.send(question);
    try {
      return await answer;
    } finally {
      this.#child.removeAllListeners("exit");
    }
  }
}
