import type { Guide } from "./guide.ts";

export const english: Guide = {
  lang: "en",
  name: "English",
  path: "/docs",
  page: {
    skip: "Skip to the content",
    docs: "Docs",
    reference: "API reference",
    signIn: "Sign in",
    signUp: "Create an account",
    footer: "Prepaid credits. What is not delivered is refunded by itself.",
    main: "Main",
  },
  title: "API documentation",
  description:
    "Make pictures over HTTP: authentication, requests, prices, errors and limits of GPT Image Hub.",
  lead: "Make pictures, list models, read your balance and look up what you made: a few addresses, JSON in and out, one key.",
  contents: "On this page",
  sections: {
    start: "Quick start",
    authentication: "Authentication",
    models: "Models",
    generate: "Making pictures",
    fields: "Fields of a request",
    sizes: "Sizes and prices",
    references: "Reference images",
    async: "Without waiting",
    read: "Looking up a generation",
    credits: "Credits",
    errors: "Errors",
    limits: "Limits",
  },
  steps: [
    <>
      <a href="/sign-up">Create an account</a> and, under API keys, a key. It is shown once: store it where
      your program finds it.
    </>,
    <>Send a prompt with the key. The answer has the addresses of the pictures.</>,
    <>For work that takes long, ask for an answer at once and look again later.</>,
  ],
  authentication: [
    <>
      Send the key as a bearer token with every request; only the list of models is open. The server keeps
      nothing of a key but its hash, so a lost one cannot be shown again: revoke it and create another. A
      revoked or expired key is refused on the very next request.
    </>,
  ],
  models: [
    <>
      The list says what each model can do and what it costs, in the same words that requests use. It needs no
      key.
    </>,
  ],
  generate: [
    <>
      The call waits until the pictures are there. Credits are charged before the provider is asked; what it
      does not deliver is refunded by itself, all of it when it fails. If your connection breaks, the work
      goes on: the pictures are kept, and you find them by the generation's id.
    </>,
    <>
      The address of a picture is stable and needs no key, but cannot be guessed. Whoever has it can see the
      picture.
    </>,
  ],
  sizes: ({ multiple, edgeMax, elongationMax, pixelsMin, pixelsMax }) => [
    <>
      Give <code>size</code> as <code>WIDTHxHEIGHT</code>: both multiples of {multiple}, no edge longer than{" "}
      {edgeMax}, the long one at most {elongationMax} times the short one, and {pixelsMin} to {pixelsMax}{" "}
      pixels in all. A size that breaks a rule is refused with the nearest one that does not. With{" "}
      <code>auto</code> the provider chooses the shape.
    </>,
    <>The number of pixels decides the price of a picture; its shape and its quality do not:</>,
  ],
  references: ({ most, megabytes }) => [
    <>
      Send the request as <code>multipart/form-data</code>, with up to {most} files named{" "}
      <code>reference_image</code>: PNG, JPEG or WebP, at most {megabytes} MB each. They are never shown to
      anybody, and removed when the generation has ended.
    </>,
  ],
  async: [
    <>
      With <code>async</code> the answer comes at once, with the status 202, the generation's id and, in{" "}
      <code>poll_url</code>, where to look. <code>Retry-After</code> says when to look again.
    </>,
    <>
      The status goes from <code>queued</code> over <code>processing</code> to <code>succeeded</code> or{" "}
      <code>failed</code>.
    </>,
  ],
  read: [
    <>
      Gives a generation with its pictures, now or in a year. Only the generations of the key's own user are
      found.
    </>,
  ],
  credits: [
    <>
      Credits are paid ahead. Those that expire soonest are used first; <code>next_expiration</code> says when
      some will. The balance is exact at every moment.
    </>,
  ],
  errors: [
    <>
      Whatever goes wrong is told in one shape. Go by <code>code</code>; <code>message</code> is for people,
      and <code>param</code> names the field to blame. Quote the <code>request_id</code> when you ask us.
    </>,
  ],
  columns: {
    field: "Field",
    value: "Value",
    notes: "Notes",
    status: "HTTP",
    code: "Code",
    meaning: "Meaning",
    tier: "Resolution",
    pixels: "Pixels",
    price: "Price of a picture",
    ratio: "Aspect ratio",
    endpoint: "Address",
    key: "Key",
    does: "What it does",
  },
  endpoints: {
    models: "Lists the models with what they can do and cost.",
    model: "Gives one model.",
    credits: "Tells the balance.",
    generate: "Makes pictures.",
    list: "Lists your generations, newest first.",
    read: "Gives one generation with its pictures.",
    openai: "The base URL for OpenAI's clients: pictures, edits and models.",
  },
  reference: "API reference: every address, field by field",
  needsKey: "yes",
  needsNoKey: "no",
  fields: {
    model: "Required.",
    prompt: "Required. What the picture shows.",
    size: "auto where it is left out.",
    quality: "How much care the provider takes. It does not change the price.",
    aspect_ratio: "Instead of a size: the largest of that shape that the resolution allows.",
    resolution: "With an aspect ratio: what is priced.",
    n: "How many pictures of the prompt; each is priced.",
    async: "Answer at once instead of waiting.",
    output_format: "png where it is left out.",
    reference_image: "In multipart/form-data only; may be repeated.",
  },
  modelFacts: {
    id: "Model id",
    provider: "Provider",
    ratios: "Aspect ratios",
    defaults: "Where nothing is said",
    qualities: "Resolutions",
    references: "Reference images, at most",
    most: "Pictures a request, at most",
  },
  credit: (count) => `${count} credits`,
  codes: {
    invalid_request: "The body or a parameter is not valid; param names it.",
    contentPolicyViolation:
      "The provider refused the prompt or a reference image. The credits were returned.",
    unreadableReference: "The provider could not read a reference image. The credits were returned.",
    missingApiKey: "There is no Authorization header.",
    invalidApiKey: "There is no such key, or it was revoked.",
    expiredApiKey: "The key has expired.",
    insufficientCredits: "The account has fewer credits than this takes: see required and available.",
    notFound: "There is nothing at this address, or it belongs to somebody else.",
    methodNotAllowed: "The address does not take this method; Allow says which it does.",
    conflict: "It contradicts what is there already.",
    notCancelable: "The generation has begun or ended, and cannot be canceled.",
    payloadTooLarge: "The body is larger than it may be.",
    unsupportedMediaType: "The body has another media type than this address takes.",
    idempotencyMismatch: "This idempotency key belongs to another request.",
    rateLimited: "Too many requests; Retry-After says when to go on.",
    generationFailed: "The pictures could not be made. The credits were returned.",
    internalError: "Something went wrong on our side.",
    serviceUnavailable: "The service cannot take the request now. Nothing was charged.",
  },
  limits: ({ waitSeconds, imagesMax, promptMax, referencesMax, megabytes }) => [
    `A call that waits does so for at most ${waitSeconds} seconds.`,
    `A request makes 1 to ${imagesMax} pictures.`,
    `A prompt has at most ${promptMax} characters.`,
    `At most ${referencesMax} reference images, of at most ${megabytes} MB each.`,
  ],
  labels: {
    request: "Request",
    answer: "Answer",
    accepted: "Answer to an async request",
    error: "Error",
    copy: "Copy",
    javascript: "Request in JavaScript",
    python: "Request in Python",
  },
};
