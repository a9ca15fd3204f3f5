import { CodedError, toErrorCode } from "@fairlead/kernel";
import { httpStatusByCode, isHttpErrorCode, type HttpErrorCode, type Problem } from "@fairlead/protocol";
import type * as z from "zod";

/** Codes of other packages that mean one of ours. */
const translations: Readonly<Record<string, HttpErrorCode>> = {
  store_busy: "unavailable",
  broker_closed: "unavailable",
  ENOSPC: "storage_full",
  document_invalid: "validation_failed",
  metadata_malformed: "metadata_refused",
};

/** The code under which the API tells of any thrown value. */
export function toHttpCode(error: unknown): HttpErrorCode {
  const code = toErrorCode(error);
  if (code === undefined) return "internal";
  if (isHttpErrorCode(code)) return code;
  return Object.hasOwn(translations, code) ? (translations[code] ?? "internal") : "internal";
}

const titles = (code: HttpErrorCode) => code.replaceAll("_", " ");

/** Any thrown value → the one form in which the API says no. What is our fault says nothing about the inside. */
export function toProblem(error: unknown, instance: string): Problem {
  const code = toHttpCode(error);
  const isOurs = code === "internal";
  const coded = error instanceof CodedError ? error : undefined;
  const fields = coded?.details["fields"];
  return {
    type: `urn:fairlead:problem:${code}`,
    title: titles(code),
    status: httpStatusByCode[code],
    detail: isOurs || !(error instanceof Error) ? "the plane failed to answer; its log says why" : error.message,
    instance,
    code,
    ...(coded?.hint === undefined || isOurs ? {} : { hint: coded.hint }),
    ...(Array.isArray(fields) ? { fields: fields as NonNullable<Problem["fields"]> } : {}),
  };
}

export function toProblemResponse(problem: Problem, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: { "content-type": "application/problem+json", ...headers },
  });
}

/** Parses one part of a request; every bad field is named at once. @throws CodedError `validation_failed` */
export function parseRequestPart<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  part: string,
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.slice(0, 16).map((issue) => ({
    path: [part, ...issue.path.map(String)].join("."),
    message: issue.message,
  }));
  const summary = fields.map((field) => `${field.path}: ${field.message}`).join("; ");
  throw new CodedError<HttpErrorCode>("validation_failed", summary.slice(0, 1_000), { details: { fields } });
}
