import { describe, expect, it } from "vitest";
import { ConfigError, readConfig } from "../src/config.ts";

const DEFAULTS = {
  IMAGE_PROVIDER: "openai",
  OPENAI_BASE_URL: "https://api.openai.com/v1",
  GEMINI_BASE_URL: "https://generativelanguage.googleapis.com/v1beta",
  BFL_BASE_URL: "https://api.bfl.ai",
  FAL_BASE_URL: "https://queue.fal.run",
  SYNC_WAIT_SECONDS: 800,
  RUN_DEADLINE_SECONDS: 800,
  QUEUE_DEADLINE_SECONDS: 3600,
  QUEUE_REDELIVERY_SECONDS: 600,
  SYNC_START_SECONDS: 60,
  OPENAI_MAX_PER_MINUTE: 0,
  OPENAI_MAX_CONCURRENT: 0,
  OPENAI_FALLBACK_MAX_PER_MINUTE: 0,
  OPENAI_FALLBACK_MAX_CONCURRENT: 0,
  GEMINI_MAX_PER_MINUTE: 0,
  GEMINI_MAX_CONCURRENT: 0,
  BFL_MAX_PER_MINUTE: 0,
  BFL_MAX_CONCURRENT: 0,
  FAL_MAX_PER_MINUTE: 0,
  FAL_MAX_CONCURRENT: 0,
  WORKERS_AI_MAX_PER_MINUTE: 0,
  WORKERS_AI_MAX_CONCURRENT: 0,
  RATE_LIMIT_PER_MINUTE: 0,
  MAX_CONCURRENT_GENERATIONS: 0,
  ALLOW_INSECURE_URLS: false,
  PROVIDER_ATTEMPTS: 3,
  RETENTION_DAYS: 0,
  LOG_RETENTION_DAYS: 0,
  SIGNUP_CREDITS: 0,
  MAIL_API_URL: "https://api.resend.com/emails",
};

/** A binding is an object with methods. */
const AI = { run: async () => new Response() };

describe("readConfig", () => {
  it.each<[what: string, settings: object, expected: object]>([
    ["nothing set", {}, DEFAULTS],
    ["what is set to nothing", { IMAGE_PROVIDER: "", SYNC_WAIT_SECONDS: "", ADMIN_TOKEN: "" }, DEFAULTS],
    ["bindings, which are no settings", { DB: {}, IMAGES: {} }, DEFAULTS],
    ["numbers as text", { SYNC_WAIT_SECONDS: "30" }, { ...DEFAULTS, SYNC_WAIT_SECONDS: 30 }],
    ["the embedded provider", { IMAGE_PROVIDER: "sketch" }, { ...DEFAULTS, IMAGE_PROVIDER: "sketch" }],
    [
      "base URLs, without the slash at their end",
      { PUBLIC_BASE_URL: "https://hub.example//", IMAGES_BASE_URL: "http://127.0.0.1:8787/images/" },
      {
        ...DEFAULTS,
        PUBLIC_BASE_URL: "https://hub.example",
        IMAGES_BASE_URL: "http://127.0.0.1:8787/images",
      },
    ],
    ["the binding of Workers AI", { AI }, { ...DEFAULTS, AI }],
    ["the operator's token", { ADMIN_TOKEN: "t" }, { ...DEFAULTS, ADMIN_TOKEN: "t" }],
  ])("takes %s", (_, settings, expected) => {
    expect(readConfig(settings)).toEqual(expected);
  });

  it.each([
    ["SYNC_WAIT_SECONDS", 1, 3_600],
    ["RUN_DEADLINE_SECONDS", 1, 840],
    ["QUEUE_DEADLINE_SECONDS", 1, 86_400],
    ["PROVIDER_ATTEMPTS", 1, 10],
    ["RATE_LIMIT_PER_MINUTE", 0, 100_000],
    ["MAX_CONCURRENT_GENERATIONS", 0, 100_000],
    ["SIGNUP_CREDITS", 0, 1_000_000],
  ])("takes %s from %i to %i", (name, least, most) => {
    for (const value of [least, most])
      expect(readConfig({ [name]: String(value) })).toHaveProperty(name, value);
    for (const value of [least - 1, most + 1, least + 0.5, "soon"]) {
      expect(() => readConfig({ [name]: String(value) })).toThrow(ConfigError);
    }
  });

  it.each([
    ["IMAGE_PROVIDER", "dall-e"],
    ["PUBLIC_BASE_URL", "hub.example"],
    ["IMAGES_BASE_URL", "ftp://hub.example"],
  ])("refuses %s=%s, and names it", (name, value) => {
    expect(() => readConfig({ [name]: value })).toThrow(name);
  });

  it("reads each environment once", () => {
    const environment = { SYNC_WAIT_SECONDS: "30" };
    expect(readConfig(environment)).toBe(readConfig(environment));
  });
});
