/** MQTT 3.1.1 §4.7: does the filter cover the topic? Wildcards never cover a first level that begins with `$`. */
export function isCovered(filter: string, topic: string): boolean {
  const wanted = filter.split("/");
  const levels = topic.split("/");
  if (topic.startsWith("$") && (wanted[0] === "+" || wanted[0] === "#")) return false;
  for (const [index, want] of wanted.entries()) {
    if (want === "#") return index <= levels.length;
    const level = levels[index];
    if (level === undefined || (want !== "+" && want !== level)) return false;
  }
  return wanted.length === levels.length;
}
