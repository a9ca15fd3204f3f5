/** One server-sent event (HTML Living Standard §9.2.6). */
export interface ServerSentEvent {
  readonly id: string | null;
  readonly event: string;
  readonly data: string;
}

const maxBufferCharacters = 1_048_576;

/** Incremental parser: feed decoded text, get complete events. Comments (keep-alives) give nothing. */
export function createSseParser(): { feed(text: string): ServerSentEvent[] } {
  let buffer = "";
  let id: string | null = null;
  let event = "";
  let data: string[] = [];

  function takeLine(line: string, out: ServerSentEvent[]): void {
    if (line === "") {
      if (data.length > 0) out.push({ id, event: event === "" ? "message" : event, data: data.join("\n") });
      event = "";
      data = [];
      return;
    }
    if (line.startsWith(":")) return;
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const raw = colon === -1 ? "" : line.slice(colon + 1);
    const value = raw.startsWith(" ") ? raw.slice(1) : raw;
    if (field === "event") event = value;
    else if (field === "data") data.push(value);
    else if (field === "id" && !value.includes("\0")) id = value;
  }

  return {
    feed(text) {
      buffer += text;
      const out: ServerSentEvent[] = [];
      // A carriage return at the very end may be the first half of CRLF: it stays until more arrives.
      for (;;) {
        const end = buffer.search(/\r\n|\n|\r(?!$)/u);
        if (end === -1) break;
        const width = buffer.startsWith("\r\n", end) ? 2 : 1;
        takeLine(buffer.slice(0, end), out);
        buffer = buffer.slice(end + width);
      }
      if (buffer.length > maxBufferCharacters) throw new RangeError("a server-sent event exceeds 1 MiB");
      return out;
    },
  };
}
