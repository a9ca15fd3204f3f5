import { z } from "zod";

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

/** Query of every list endpoint. */
export const listQuerySchema = z.strictObject({
  selector: z.string().max(512).optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
  cursor: z.string().max(256).optional(),
  sort: z.string().max(64).optional(),
  fields: z.string().max(512).optional(),
});
export type ListQuery = z.infer<typeof listQuerySchema>;

export const toListSchema = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() });
