import type { InferenceSession } from "onnxruntime-node";
import type { SessionSettings } from "../onnxruntime-session.ts";
import type { Tensor, TensorSpec } from "../tensor.ts";

/** A session on the thread of whoever opens it. */
export interface InlineSession {
  run(inputs: readonly Tensor[]): Promise<Tensor[]>;
  close(): Promise<void>;
}

/** The library is loaded here only once a session is wanted: a process that never wants one does not pay for it. */
export async function openInlineSession(
  model: Uint8Array,
  outputs: readonly TensorSpec[],
  settings: SessionSettings,
): Promise<InlineSession> {
  const [{ env, InferenceSession: Session }, { runOptions, runSession, toSessionOptions }] = await Promise.all([
    import("onnxruntime-node"),
    import("../onnxruntime-session.ts"),
  ]);
  env.logLevel = "fatal";
  // The first session of this model has said what there is to say about it.
  const options = { ...toSessionOptions(settings), ...runOptions };
  const session: InferenceSession = await Session.create(model, options);
  return {
    run: (inputs) => runSession(session, outputs, inputs),
    close: () => session.release(),
  };
}
