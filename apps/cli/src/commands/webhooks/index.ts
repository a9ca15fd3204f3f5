import type { Command } from "../../command.ts";
import { createWebhook, deleteWebhook, describeWebhook, listWebhooks, testWebhook } from "./webhooks.ts";

export const commands: readonly Command[] = [createWebhook, listWebhooks, describeWebhook, deleteWebhook, testWebhook];
