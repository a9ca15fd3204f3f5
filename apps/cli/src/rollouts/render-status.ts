import type { RolloutState, RolloutStatus, StageState, StageStatus, Verdict } from "@fairlead/protocol";
import type { Style } from "../output/output.ts";
import { sanitize } from "../output/sanitize.ts";
import { toDurationText } from "../parse-duration.ts";

export type Paint = (style: Style, text: string) => string;

const stageMark: Readonly<Record<StageState, readonly [string, Style]>> = {
  scheduled: ["○", "dim"],
  running: ["◐", "cyan"],
  soaking: ["◑", "cyan"],
  passed: ["✔", "green"],
  failed: ["✖", "red"],
  skipped: ["–", "dim"],
};
const verdictMark: Readonly<Record<Verdict["kind"], readonly [string, Style]>> = {
  pass: ["✔", "green"],
  wait: ["…", "yellow"],
  fail: ["✖", "red"],
};
const stateStyle: Readonly<Record<RolloutState, Style>> = {
  draft: "dim",
  pending_approval: "yellow",
  ready: "cyan",
  running: "cyan",
  paused: "yellow",
  succeeded: "green",
  failed: "red",
  canceled: "red",
  rolling_back: "yellow",
  rolled_back: "red",
  rollback_failed: "red",
};

const toNumber = (value: number): string => String(Number(value.toPrecision(4)));

function toEvidence(verdict: Verdict): string {
  const missing = verdict.kind === "wait" ? "no value yet" : "no value";
  const value = verdict.value === null ? missing : toNumber(verdict.value);
  const bound = verdict.threshold === null ? "" : ` against ${toNumber(verdict.threshold)}`;
  const control = verdict.control === null ? "" : `, control ${toNumber(verdict.control)}`;
  const samples = verdict.samples === null ? "" : `, n=${verdict.samples}`;
  return `${value}${bound}${control}${samples}`;
}

function toFinding(verdict: Verdict, paint: Paint): string {
  // It measures nothing: its text is all there is to say.
  if (verdict.gate === "soak") return paint("dim", sanitize(verdict.why));
  const why = verdict.kind === "pass" ? "" : `: ${sanitize(verdict.why)}`;
  return `${toEvidence(verdict)}${paint("dim", why)}`;
}

function toTarget(status: RolloutStatus, index: number): string {
  const target = status.spec.stages[index]?.target;
  if (target === undefined) return "";
  const shadow = status.spec.stages[index]?.shadow;
  const beside = shadow ? `, shadow on ${Number((shadow.share * 100).toPrecision(4))}% of requests` : "";
  return `${target.kind === "percent" ? `${target.percent}%` : sanitize(target.selector)}${beside}`;
}

function toTime(stage: StageStatus, nowMs: number): string {
  if (stage.startedAtMs === null) return "";
  const since = stage.endedAtMs ?? nowMs;
  if (stage.state === "soaking" && stage.soakingSinceMs !== null)
    return `soaking for ${toDurationText(nowMs - stage.soakingSinceMs)}`;
  return `${stage.endedAtMs === null ? "for" : "in"} ${toDurationText(since - stage.startedAtMs)}`;
}

function toCounts({ counts }: StageStatus): string {
  const parts = [`${counts.succeeded}/${counts.planned} succeeded`];
  if (counts.working > 0) parts.push(`${counts.working} working`);
  if (counts.failed > 0) parts.push(`${counts.failed} failed`);
  if (counts.unknown > 0) parts.push(`${counts.unknown} unknown`);
  return parts.join(", ");
}

function renderStage(
  status: RolloutStatus,
  index: number,
  options: { readonly nowMs: number; readonly paint: Paint },
): string[] {
  const stage = status.stages[index];
  if (stage === undefined) return [];
  const { paint } = options;
  const isLast = index === status.stages.length - 1;
  const [mark, style] = stageMark[stage.state];
  const time = toTime(stage, options.nowMs);
  const head = [
    `${paint("bold", sanitize(stage.name))} (${toTarget(status, index)})`,
    stage.state,
    toCounts(stage),
    time,
  ];
  const lines = [`${isLast ? "└─" : "├─"} ${paint(style, mark)} ${head.filter((part) => part !== "").join("  ")}`];
  for (const verdict of stage.verdicts) {
    const [sign, tone] = verdictMark[verdict.kind];
    lines.push(
      `${isLast ? " " : "│"}     ${paint(tone, sign)} ${sanitize(verdict.gate)}  ${toFinding(verdict, paint)}`,
    );
  }
  return lines;
}

/** The tree that `rollouts status` shows: state, stages with counts, gates with value against threshold, devices in trouble. */
export function renderStatus(
  status: RolloutStatus,
  options: { readonly nowMs: number; readonly paint: Paint },
): string[] {
  const { paint } = options;
  const { spec } = status;
  const pause = status.pauseReason === null ? "" : ` (${sanitize(status.pauseReason)})`;
  const lines = [
    `${paint("bold", sanitize(status.rolloutId))}  ${sanitize(`${spec.model} ${spec.version} → slot ${spec.slot}, ${spec.selector || "every device"}`)}`,
    `${paint(stateStyle[status.state], status.state)}${pause}${status.reason === "" ? "" : `  ${sanitize(status.reason)}`}`,
    ...status.stages.flatMap((_, index) => renderStage(status, index, options)),
  ];
  const troubled = status.devices.filter((device) => device.code !== null && device.state !== "succeeded");
  for (const device of troubled.slice(0, 10))
    lines.push(
      `   ${paint("yellow", "!")} ${sanitize(`${device.device}  ${device.state}  ${device.reason ?? device.code ?? ""}`)}`,
    );
  if (troubled.length > 10) lines.push(`   and ${troubled.length - 10} more: -o json shows all`);
  return lines;
}
