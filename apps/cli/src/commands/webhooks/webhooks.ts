import type { Client } from "@fairlead/client";
import { createWebhookRequestSchema, webhookEventSchema, type WebhookDetail } from "@fairlead/protocol";
import type { Command } from "../../command.ts";
import { toUsageError } from "../../errors.ts";
import { firstArgument } from "../../input.ts";
import { findOrSuggest, kinds } from "../../not-found.ts";

const toTime = (tsMs: number | null): string => (tsMs === null ? "-" : new Date(tsMs).toISOString());
const theWebhook = [{ syntax: "<webhook>", description: "as fairlead webhooks list shows it" }];

/** Does something to a webhook that may not exist. */
const withWebhook = <Found>({ webhooks }: Client, id: string, find: () => Promise<Found>): Promise<Found> =>
  findOrSuggest(kinds.webhook, id, {
    find,
    listNames: async () => (await webhooks.list()).map(({ webhookId }) => webhookId),
  });

export const createWebhook: Command = {
  noun: "webhooks",
  verb: "create",
  summary: "Tell an address of alerts and outcomes; the secret of its signatures is shown once",
  arguments: [{ syntax: "<url>", description: "where the plane sends POST requests, https" }],
  options: [
    {
      flags: "--event <event>",
      description: "one of what it is told of; may be given many times, default all",
      repeatable: true,
      choices: webhookEventSchema.options,
    },
    { flags: "--description <text>", description: "whose it is and what for", default: "" },
  ],
  async run({ client, out }, input) {
    const events = input.many("event");
    const parsed = createWebhookRequestSchema.safeParse({
      url: firstArgument(input),
      description: input.required("description"),
      ...(events.length === 0 ? {} : { events }),
    });
    if (!parsed.success) throw toUsageError(parsed.error.issues.map((issue) => issue.message).join("; "));
    const created = await (await client()).webhooks.create(parsed.data);
    if (out.isStructured) return out.value(created);
    out.lines([created.secret]);
    out.message(`${created.webhook.webhookId}; the secret is not shown again`);
  },
};

export const listWebhooks: Command = {
  noun: "webhooks",
  verb: "list",
  summary: "List webhooks, without their secrets",
  async run({ client, out }) {
    out.list(await (await client()).webhooks.list(), {
      name: (webhook) => webhook.webhookId,
      empty: "no webhooks",
      columns: [
        { title: "WEBHOOK", cell: (webhook) => webhook.webhookId },
        { title: "STATE", cell: (webhook) => webhook.state },
        { title: "PENDING", cell: (webhook) => String(webhook.pending) },
        {
          title: "LAST DELIVERED",
          cell: (webhook) => (webhook.lastDeliveredAtMs === null ? "never" : out.toAge(webhook.lastDeliveredAtMs)),
        },
        { title: "URL", cell: (webhook) => webhook.url },
        { title: "DESCRIPTION", cell: (webhook) => webhook.description, wide: true },
      ],
    });
  },
};

function describe({ webhook, deliveries }: WebhookDetail): string[] {
  return [
    `webhook      ${webhook.webhookId}`,
    `url          ${webhook.url}`,
    `description  ${webhook.description}`,
    `state        ${webhook.state}${webhook.reason === null ? "" : `: ${webhook.reason}`}`,
    `events       ${webhook.events.join(", ")}`,
    `created      ${toTime(webhook.createdAtMs)} by ${webhook.createdBy}`,
    `delivered    ${webhook.lastDeliveredAtMs === null ? "never" : toTime(webhook.lastDeliveredAtMs)}`,
    `pending      ${webhook.pending}`,
    ...deliveries.map((delivery) =>
      [
        `delivery     ${toTime(delivery.createdAtMs)}  ${delivery.type}  ${delivery.subject}  ${delivery.state}`,
        `${delivery.attempts} attempts`,
        ...(delivery.status === null ? [] : [`status ${delivery.status}`]),
        ...(delivery.nextAttemptAtMs === null ? [] : [`next ${toTime(delivery.nextAttemptAtMs)}`]),
        ...(delivery.reason === null ? [] : [delivery.reason]),
      ].join("  "),
    ),
  ];
}

export const describeWebhook: Command = {
  noun: "webhooks",
  verb: "describe",
  summary: "Show one webhook and what came of its deliveries",
  arguments: theWebhook,
  async run({ client, out }, input) {
    const api = await client();
    const id = firstArgument(input);
    const found = await withWebhook(api, id, () => api.webhooks.get(id));
    out.one(found, { name: ({ webhook }) => webhook.webhookId, describe });
  },
};

export const deleteWebhook: Command = {
  noun: "webhooks",
  verb: "delete",
  summary: "Delete a webhook and what waits for it",
  arguments: theWebhook,
  async run({ client, out, confirm }, input) {
    const id = firstArgument(input);
    const api = await client();
    await withWebhook(api, id, async () => {
      await confirm(`delete ${id}?`);
      await api.webhooks.remove(id);
    });
    out.message(`${id} is deleted`);
  },
};

export const testWebhook: Command = {
  noun: "webhooks",
  verb: "test",
  summary: "Send one test message; a disabled webhook that takes it is enabled again",
  arguments: theWebhook,
  async run({ client, out }, input) {
    const id = firstArgument(input);
    const api = await client();
    const delivery = await withWebhook(api, id, () => api.webhooks.test(id));
    if (out.isStructured) return out.value(delivery);
    out.message(`${delivery.deliveryId} is on its way; see: fairlead webhooks describe ${id}`);
  },
};
