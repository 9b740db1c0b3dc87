import * as z from "zod";
import { findModel } from "../../catalogue/models.ts";
import { GenerationInput } from "../../generations/input.ts";
import { isGenerationId } from "../../id.ts";

/** The body of POST /api/v1/images/generations. */
export const GenerationBody = GenerationInput.extend({
  async: z.boolean().default(false),
  response_format: z.string().optional(),
  /** In a form it is a file, which is taken out before the fields are parsed. */
  reference_image: z
    .custom<never>(() => false, {
      message: "reference_image is a file: send the request as multipart/form-data.",
    })
    .optional(),
}).superRefine((body, context) => {
  if (body.output_compression !== undefined && body.output_format === "png") {
    const message = "output_compression is for output_format jpeg and webp only.";
    context.addIssue({ code: "custom", path: ["output_compression"], message });
  }
});

export type GenerationBody = z.infer<typeof GenerationBody>;

const GENERATIONS_LISTED = 20;
const GENERATIONS_LISTED_MAX = 100;

/** A whole number of a query, from 1 on. */
function count(name: string, most: number) {
  return z
    .string()
    .refine((text) => /^[1-9]\d{0,8}$/.test(text) && Number(text) <= most, {
      message: `${name} must be a whole number from 1 to ${most}.`,
    })
    .transform(Number);
}

const time = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));

/**
 * The query of GET /api/v1/generations. The cursor is the id of the last generation shown: ids sort by age, so the next
 * page is as quick to find as the first.
 */
export const GenerationsQuery = z
  .strictObject({
    limit: count("limit", GENERATIONS_LISTED_MAX).default(GENERATIONS_LISTED),
    cursor: z
      .string()
      .refine(isGenerationId, { message: "cursor must be the next_cursor of an earlier answer." })
      .optional(),
    status: z.enum(["queued", "processing", "succeeded", "failed", "canceled"]).optional(),
    model: z.string().optional(),
    created_after: time.optional(),
    created_before: time.optional(),
    idempotency_key: z.string().optional(),
  })
  .transform(({ cursor, status, model, created_after, created_before, ...rest }) => ({
    ...rest,
    cursor: cursor ?? null,
    status: status ?? null,
    model: model === undefined ? null : (findModel(model)?.id ?? model),
    createdAfter: created_after ?? null,
    createdBefore: created_before ?? null,
  }));

/** The fields of a form, all text, as the JSON values they stand for; what stands for none is left to the schema. */
export function fromForm(fields: ReadonlyMap<string, string>): Record<string, unknown> {
  return Object.fromEntries([...fields].map(([name, text]) => [name, fromText(name, text)]));
}

function fromText(name: string, text: string): unknown {
  switch (name) {
    case "n":
    case "output_compression":
      return /^\d{1,9}$/.test(text) ? Number(text) : text;
    case "async":
      return text === "true" ? true : text === "false" ? false : text;
    default:
      return text;
  }
}
