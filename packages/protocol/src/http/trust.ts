import * as z from "zod";
import { releaseSchema } from "../documents/signed.ts";
import { timestampMsSchema } from "../ids.ts";

/** Root, targets and publishers are written offline; snapshot and timestamp only by the plane. */
export const metadataNameSchema = z.string().regex(/^[1-9]\d{0,8}\.[a-z0-9][a-z0-9-]{0,40}\.json$/u);

/** `GET /api/v1/trust`: what the plane holds of the repository, and with which keys it may speak. */
export const trustStateSchema = z.object({
  /** Newest version of every role that counts; empty before the first root was published. */
  roles: z.record(z.string(), z.object({ version: z.int(), expiresAtMs: timestampMsSchema })),
  /** Public halves (PEM) of the keys with which the plane signs snapshot and timestamp. */
  onlineKeys: z.array(z.string()),
  /** Why the plane cannot sign what must stay fresh; null when it can. */
  problem: z.string().nullable(),
});

/** `POST /api/v1/trust/publications`: documents that were signed offline, and the releases that they vouch for. */
export const publicationRequestSchema = z.strictObject({
  documents: z.record(metadataNameSchema, z.string().max(5_000_000)),
  releases: z.array(releaseSchema).max(64).default([]),
});

export const publicationSchema = z.object({ roles: z.record(z.string(), z.int()), releases: z.array(z.string()) });

/** `GET /api/v1/releases/in-use`: releases that some device or rollout still points at. */
export const releasesInUseSchema = z.object({ releases: z.array(z.string()) });

export type TrustState = z.infer<typeof trustStateSchema>;
export type PublicationRequest = z.input<typeof publicationRequestSchema>;
export type Publication = z.infer<typeof publicationSchema>;
