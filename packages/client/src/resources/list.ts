import { ClientError } from "../errors.ts";
import type { Transport } from "../transport.ts";
import { toListSchema } from "@fairlead/protocol";
import type * as z from "zod";

/** Query of every list endpoint; `limit` bounds one page, `listAll` walks the pages. */
export interface ListOptions {
  readonly selector?: string;
  readonly limit?: number;
  readonly cursor?: string;
  /** Filters of one resource, for instance `state` or `device`. */
  readonly filters?: Readonly<Record<string, string | number | undefined>>;
  readonly signal?: AbortSignal;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  readonly nextCursor: string | null;
}

const maxPages = 1_000;

export async function readPage<Item extends z.ZodType>(
  transport: Transport,
  endpoint: { readonly path: readonly string[]; readonly item: Item },
  options: ListOptions,
): Promise<Page<z.infer<Item>>> {
  const { selector, limit, cursor, filters, signal } = options;
  return transport.read(toListSchema(endpoint.item), {
    method: "GET",
    path: endpoint.path,
    query: { ...filters, selector, limit, cursor },
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Every item of a list, page by page. */
export async function readAll<Item extends z.ZodType>(
  transport: Transport,
  endpoint: { readonly path: readonly string[]; readonly item: Item },
  options: ListOptions = {},
): Promise<z.infer<Item>[]> {
  const items: z.infer<Item>[] = [];
  let cursor = options.cursor;
  for (let page = 0; page < maxPages; page += 1) {
    const { cursor: _first, ...rest } = options;
    const answer = await readPage(transport, endpoint, {
      ...rest,
      limit: options.limit ?? 1_000,
      ...(cursor === undefined ? {} : { cursor }),
    });
    items.push(...answer.items);
    if (answer.nextCursor === null) return items;
    cursor = answer.nextCursor;
  }
  // Half a list that looks whole would be worse than none.
  throw new ClientError("response_invalid", `the list goes on after ${maxPages} pages`);
}
