import { idSchema, signedCommandSchema, type SignedCommand } from "@fairlead/protocol";
import * as z from "zod";

const remembered = 256;
const generationSchema = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

/** Commands that were admitted, in the order in which they came. */
export const inboxSchema = z.strictObject({
  v: z.literal(1),
  /** Highest generation of those that were forgotten: whatever is not above it may have been carried out before. */
  forgotten: generationSchema,
  commands: z
    .array(
      z.strictObject({
        commandId: idSchema,
        generation: generationSchema,
        /** Kept until the reply is in the outbox. */
        envelope: signedCommandSchema.nullable(),
      }),
    )
    .max(remembered),
});
export type InboxRecord = z.infer<typeof inboxSchema>;

export const emptyInbox: InboxRecord = { v: 1, forgotten: 0, commands: [] };

/** What is to be done about a verified command; `admitted`: once the record is on the disk, and not before. */
export type Admittance =
  | { readonly kind: "admitted"; readonly record: InboxRecord }
  | { readonly kind: "known" }
  | { readonly kind: "stale"; readonly reason: string }
  /** Nothing can be forgotten, since nothing has ended: it has to come again. */
  | { readonly kind: "full" };

/**
 * Each command once, in whatever order they come: the plane sends again what was not answered, and what a connection lost.
 * So no single highest number divides old from new. The ids of the last ones tell those apart; of what was forgotten only
 * the highest generation is kept, and nothing up to it is admitted any more.
 */
export function admitCommand(record: InboxRecord, envelope: SignedCommand, capacity = remembered): Admittance {
  const { commandId, generation } = envelope.signed;
  if (record.commands.some((known) => known.commandId === commandId)) return { kind: "known" };
  if (generation <= record.forgotten) {
    const reason = `its generation is ${generation}, and what was asked up to ${record.forgotten} is over`;
    return { kind: "stale", reason };
  }
  const room = makeRoom(record, capacity);
  if (room === null) return { kind: "full" };
  return { kind: "admitted", record: { ...room, commands: [...room.commands, { commandId, generation, envelope }] } };
}

/** Forgets the lowest generation that has ended, when there is no room for one more. */
function makeRoom(record: InboxRecord, capacity: number): InboxRecord | null {
  if (record.commands.length < capacity) return record;
  const ended = record.commands.filter(({ envelope }) => envelope === null).map(({ generation }) => generation);
  if (ended.length === 0) return null;
  const lowest = Math.min(...ended);
  const index = record.commands.findIndex(({ generation, envelope }) => envelope === null && generation === lowest);
  return {
    ...record,
    forgotten: Math.max(record.forgotten, lowest),
    commands: record.commands.toSpliced(index, 1),
  };
}

export function endCommand(record: InboxRecord, commandId: string): InboxRecord {
  return {
    ...record,
    commands: record.commands.map((known) => (known.commandId === commandId ? { ...known, envelope: null } : known)),
  };
}

/** For the plane, which may have been restored from a time when it knew fewer. 0: no command yet. */
export function toHighestGeneration({ forgotten, commands }: InboxRecord): number {
  return commands.reduce((highest, { generation }) => Math.max(highest, generation), forgotten);
}
