/** A piece of a list whose ids are ordered by time. */
export interface PageQuery {
  readonly limit: number;
  /** Leaves out the first so many. */
  readonly offset?: number;
  /** Only ids before this one. */
  readonly before?: string | undefined;
}
