import { describe, expect, it } from "vitest";
import { createOnnxRuntime } from "./onnxruntime.ts";
import { openThread } from "./onnxruntime-thread.ts";
import { doublingModel } from "./testing/example-models.ts";

describe("a thread that was opened before the runtime", () => {
  it("takes the first session, and only that one", async () => {
    const thread = openThread();
    const posted: string[] = [];
    const post = thread.post.bind(thread);
    thread.post = (request, transfer) => (posted.push(request.kind), post(request, transfer));
    const runtime = createOnnxRuntime({ firstThread: thread });
    const models = [await runtime.load(doublingModel()), await runtime.load(doublingModel())];
    expect(posted).toEqual(["load"]);
    for (const model of models) await model.close();
    expect(posted).toEqual(["load", "close"]);
  });

  it("is not waited for when it has ended before the first session", async () => {
    const thread = openThread();
    const runtime = createOnnxRuntime({ firstThread: thread });
    const { onEnd } = thread;
    const ended = new Promise<void>((resolve) => {
      thread.onEnd = (cause) => (onEnd(cause), resolve());
    });
    thread.post({ kind: "close" }, []);
    await ended;
    const model = await runtime.load(doublingModel());
    expect(model.placement.shares).toEqual({ cpu: 1 });
    await model.close();
  });
});
