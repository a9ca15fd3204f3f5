export interface Metric {
  readonly name: string;
  readonly kind: "counter" | "gauge";
  readonly help: string;
}

export const counter = (name: string, help: string): Metric => ({ name, kind: "counter", help });
export const gauge = (name: string, help: string): Metric => ({ name, kind: "gauge", help });

/** One metric in the Prometheus text format; the keys of `values` are label sets as that format writes them. */
export function toLines({ name, kind, help }: Metric, values: Readonly<Record<string, number>>): string {
  const samples = Object.entries(values).map(([labels, value]) => `${name}${labels} ${value}`);
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`, ...samples, ""].join("\n");
}

/** A label set as the Prometheus text format writes it, with what it may not hold escaped. */
export function toLabels(labels: Readonly<Record<string, string>>): string {
  const escape = (value: string) => value.replace(/["\\\n]/gu, (sign) => (sign === "\n" ? "\\n" : `\\${sign}`));
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${escape(value)}"`)
    .join(",")}}`;
}
