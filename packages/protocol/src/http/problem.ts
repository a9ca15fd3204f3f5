import * as z from "zod";

/** RFC 9457 problem document with our stable `code` and the next thing to do. */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  instance: z.string().optional(),
  code: z.string(),
  hint: z.string().optional(),
  fields: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});
export type Problem = z.infer<typeof problemSchema>;

/** Query of a list that answers its newest entries. What an endpoint does not honour it refuses. */
export const listQuerySchema = z.strictObject({
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
});
/** Query of a list that is read page by page. */
export const pageQuerySchema = listQuerySchema.extend({ cursor: z.string().max(256).optional() });
export type ListQuery = z.infer<typeof listQuerySchema>;

export const toListSchema = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() });
