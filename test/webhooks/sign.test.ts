import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import { newWebhookSecret, signedHeaders } from "../../src/webhooks/sign.ts";

const BODY = '{"type":"generation.succeeded","prompt":"çay ☕"}';
const [FIRST, SECOND] = [newWebhookSecret(), newWebhookSecret()];

describe("signedHeaders", () => {
  it("matches the official library", async () => {
    const sentAt = new Date(1_674_087_231_999);
    const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const headers = await signedHeaders([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", sentAt.getTime(), BODY);
    expect(headers).toEqual({
      "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
      "webhook-timestamp": "1674087231",
      "webhook-signature": new Webhook(secret).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", sentAt, BODY),
    });
  });

  it("signs with each secret, in their order, so that a receiver with either accepts it", async () => {
    const headers = await signedHeaders([FIRST, SECOND], "msg_1", Date.now(), BODY);
    const [one] =
      (await signedHeaders([FIRST], "msg_1", Date.now(), BODY))["webhook-signature"]?.split(" ") ?? [];
    expect(headers["webhook-signature"]?.split(" ")).toEqual([one, expect.stringMatching(/^v1,.{44}$/)]);
    for (const secret of [FIRST, SECOND])
      expect(new Webhook(secret).verify(BODY, headers)).toEqual(JSON.parse(BODY));
    expect(() => new Webhook(newWebhookSecret()).verify(BODY, headers)).toThrow("No matching signature");
    expect(() => new Webhook(FIRST).verify(`${BODY} `, headers)).toThrow("No matching signature");
  });
});

it("creates secrets of 32 random bytes", () => {
  expect(FIRST).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  expect(FIRST).not.toBe(SECOND);
});
