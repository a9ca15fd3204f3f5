/** A message of the protocol buffer text format: each field's values in the order in which they came. */
export interface TextMessage {
  readonly [field: string]: readonly (string | TextMessage)[];
}

/** The part of the text format that model configurations use: fields, nested messages, lists, strings, numbers, names. */
export function parseModelConfig(text: string): TextMessage {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/gu) ?? [];
  let position = 0;
  const peek = () => tokens[position];
  const take = (): string => {
    const token = tokens[position];
    if (token === undefined) throw new Error("the configuration ends too early");
    position += 1;
    return token;
  };
  const readValue = (): string | TextMessage => {
    const token = take();
    if (token === "{") return readMessage("}");
    return token.startsWith('"') ? unquote(token) : token;
  };
  const readMessage = (end: "}" | undefined): TextMessage => {
    const fields: Record<string, (string | TextMessage)[]> = {};
    while (peek() !== end) {
      const values = (fields[take()] ??= []);
      if (peek() === ":") take();
      if (peek() === "[") {
        take();
        while (peek() !== "]") {
          values.push(readValue());
          if (peek() === ",") take();
        }
        take();
      } else values.push(readValue());
    }
    if (end !== undefined) take();
    return fields;
  };
  return readMessage(undefined);
}

function unquote(token: string): string {
  const bytes: number[] = [];
  const escape = /\\([0-7]{3})|\\(.)|([^\\]+)/gsu;
  for (const [, octal, plain, text] of token.slice(1, -1).matchAll(escape)) {
    if (octal !== undefined) bytes.push(Number.parseInt(octal, 8));
    else bytes.push(...Buffer.from(plain ?? text ?? ""));
  }
  return Buffer.from(bytes).toString("utf8");
}
