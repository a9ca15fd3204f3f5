import type { InferenceTotal } from "../ingest/inference-totals.ts";
import { counter, gauge, toLabels, toLines, type Metric } from "./metric-lines.ts";

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

interface InferenceMetric {
  readonly metric: Metric;
  readonly samples: (total: InferenceTotal) => readonly Sample[];
}

/** The README maps these to the names that Triton gives to the same. */
const metrics: readonly InferenceMetric[] = [
  {
    metric: counter(
      "fairlead_inference_requests_total",
      "Inference requests that devices were asked, failed ones too.",
    ),
    samples: ({ requests }) => [[{}, requests]],
  },
  {
    metric: counter(
      "fairlead_inference_errors_total",
      "Inference requests that failed, by kind; `input` is the client's.",
    ),
    samples: ({ errors }) => [...errors].map(([kind, count]) => [{ kind }, count] as const),
  },
  {
    metric: counter("fairlead_inference_request_seconds_total", "Time from arrival to answer of answered requests."),
    samples: ({ requestSeconds }) => [[{}, requestSeconds]],
  },
  {
    metric: counter("fairlead_inference_run_seconds_total", "Time that models ran."),
    samples: ({ runSeconds }) => [[{}, runSeconds]],
  },
  {
    metric: counter("fairlead_inference_energy_joules_total", "Energy of inference beyond idle, by how it was found."),
    samples: ({ energy }) => [...energy].map(([method, { joules }]) => [{ method }, joules] as const),
  },
  {
    metric: counter("fairlead_inference_energy_inferences_total", "Inferences to which that energy belongs."),
    samples: ({ energy }) => [...energy].map(([method, { inferences }]) => [{ method }, inferences] as const),
  },
  {
    metric: gauge("fairlead_inference_joules_per_inference", "The quotient of the two since this process began."),
    samples: ({ energy }) =>
      [...energy]
        .filter(([, { inferences }]) => inferences > 0)
        .map(([method, { joules, inferences }]) => [{ method }, joules / inferences] as const),
  },
];

/** What devices' telemetry says of inference, over the whole fleet, per slot, model and version. */
export function toInferenceMetrics(totals: readonly InferenceTotal[]): string {
  return metrics
    .map(({ metric, samples }) => {
      const values = totals.flatMap((total) => {
        const { slot, model, version } = total;
        return samples(total).map(([labels, value]) => [toLabels({ slot, model, version, ...labels }), value] as const);
      });
      return toLines(metric, Object.fromEntries(values));
    })
    .join("");
}
