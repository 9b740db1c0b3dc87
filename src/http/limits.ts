/**
 * The longest `Retry-After` of a rate limit, in seconds. OpenAI's SDK (`openai` 4 and 5) and the Vercel AI SDK ignore
 * one of 60 and more, and retry within seconds.
 */
export const RETRY_AFTER_SECONDS_MAX = 59;
