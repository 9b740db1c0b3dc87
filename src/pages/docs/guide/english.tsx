import type { Guide } from "./guide.ts";

export const english: Guide = {
  lang: "en",
  name: "English",
  path: "/docs",
  page: {
    skip: "Skip to content",
    docs: "Docs",
    reference: "API reference",
    signIn: "Sign in",
    signUp: "Create an account",
    footer: "Prepaid credits. Failed images are refunded automatically.",
    main: "Main",
  },
  title: "API documentation",
  description:
    "Generate images over HTTP: authentication, requests, prices, errors and limits of GPT Image Hub.",
  lead: "Generate images, list models, check your balance and retrieve past generations with one API key and JSON.",
  contents: "On this page",
  sections: {
    start: "Quick start",
    authentication: "Authentication",
    models: "Models",
    generate: "Generate images",
    fields: "Request fields",
    sizes: "Sizes and prices",
    references: "Reference images",
    async: "Async requests",
    read: "Retrieve a generation",
    credits: "Credits",
    "test-keys": "Test keys",
    errors: "Errors",
    limits: "Limits",
  },
  steps: [
    <>
      <a href="/sign-up">Create an account</a>, then create a key under API keys. The key is shown once: store
      it safely.
    </>,
    <>Send a prompt with the key. The response contains the URLs of the images.</>,
    <>For long generations, send an async request and poll for the result.</>,
  ],
  authentication: [
    <>
      Send the key as a bearer token with every request. Only the list of models is public. The server stores
      only a hash of the key, so a lost key cannot be recovered: revoke it and create another. A revoked or
      expired key stops working immediately.
    </>,
  ],
  models: [
    <>
      The list contains the capabilities and prices of each model, with the values that requests accept. It
      needs no key. A value that a model does not have is an error that names the nearest one it has.
    </>,
  ],
  generate: [
    <>
      The request waits until the images are ready. Credits are charged before the provider is called, and
      images that it does not deliver are refunded automatically. If your connection breaks, the generation
      continues: retrieve the images later with its id.
    </>,
    <>
      The URL of an image is stable and cannot be guessed. It needs no key: anyone who has the URL can see the
      image.
    </>,
  ],
  sizes: ({ multiple, elongationMax, pixelsMin }) => [
    <>
      Set <code>size</code> to <code>WIDTHxHEIGHT</code>. Some models take any size: both edges must be
      multiples of {multiple}, the long edge at most {elongationMax} times the short edge, and the image at
      least {pixelsMin} pixels in total. Others take the sizes in their table only. The error for an invalid
      size suggests the nearest valid one. <code>auto</code> means the defaults of the model.
    </>,
    <>The price of an image depends on its resolution, not on its aspect ratio or quality:</>,
  ],
  references: ({ most, megabytes }) => [
    <>
      Send the request as <code>multipart/form-data</code>, with up to {most} files named{" "}
      <code>reference_image</code>: PNG, JPEG or WebP, at most {megabytes} MB each. They stay private and are
      deleted when the generation ends.
    </>,
    <>
      A JSON request can list references in <code>reference_images</code>: https URLs,{" "}
      <code>data:image/…;base64,</code> URLs, and ids (<code>ref_…</code>) of images that were uploaded with{" "}
      <code>POST /api/v1/references</code> in the last 24 hours. A URL is fetched before anything is charged.
    </>,
  ],
  async: [
    <>
      With <code>async</code> the API responds immediately with status 202, the generation's id and a{" "}
      <code>poll_url</code>. <code>Retry-After</code> says when to poll again.
    </>,
    <>
      The status changes from <code>queued</code> to <code>processing</code>, then to <code>succeeded</code>{" "}
      or <code>failed</code>.
    </>,
    <>
      With <code>webhook_url</code> the API also sends a <code>POST</code> with the generation to your server
      when it ends. Verify it with your webhook secret and a{" "}
      <a href="https://www.standardwebhooks.com/">Standard Webhooks</a> library, and respond with a 2xx status
      within 15 seconds. Otherwise it is sent again for up to 28 hours, with the same <code>webhook-id</code>.
    </>,
  ],
  read: [
    <>Returns a generation with its images. A key can only retrieve the generations of its own account.</>,
  ],
  credits: [
    <>
      Credits are prepaid. Credits that expire soonest are used first; <code>next_expiration</code> is the
      next expiration date. The balance is always exact.
    </>,
    <>
      You buy credit packs on the <a href="/account/credits">credits page</a>, if this site sells them.
    </>,
  ],
  testKeys: ({ delaySecondsMax }) => [
    <>
      A test key (<code>gih_test_…</code>) is for your own tests. Create one under API keys, with the mode
      Test. All endpoints work as with a live key, and each generation has <code>"livemode": false</code>. The
      built-in provider draws the images, as PNG only. Nothing is charged, and no credits are needed:{" "}
      <code>credits</code>, <code>credits_charged</code> and <code>credits_refunded</code> are 0.
    </>,
    <>
      A test key does not see the generations, references and idempotency keys of live keys, and a live key
      does not see those of test keys. Each mode has its own rate limits and its own webhook secret. Both see
      the account's balance.
    </>,
    <>
      The header <code>X-Test-Scenario</code> scripts the outcome of a request. An outcome can be combined
      with a delay of up to {delaySecondsMax} seconds: <code>delay=5, fail</code>. An unknown value is a 400,
      and so is the header with a live key.
    </>,
  ],
  scenarios: {
    "partial=K": (
      <>
        K images are delivered. K must be less than <code>n</code>.
      </>
    ),
    fail: (
      <>
        The generation fails: 500 <code>generationFailed</code>.
      </>
    ),
    refuse: (
      <>
        The prompt is rejected: 400 <code>contentPolicyViolation</code>.
      </>
    ),
    timeout: (
      <>
        As if the provider did not respond, but immediately: 500 <code>generationFailed</code>.
      </>
    ),
    insufficient: (
      <>
        As if there were no credits: 402 <code>insufficientCredits</code>.
      </>
    ),
    "delay=SECONDS": "The generation waits before its outcome.",
  },
  errors: [
    <>
      All errors share one JSON format. Branch on <code>code</code>; <code>message</code> is for people, and{" "}
      <code>param</code> names the invalid field. Include the <code>request_id</code> when you contact
      support.
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
    price: "Price per image",
    ratio: "Aspect ratio",
    endpoint: "Endpoint",
    key: "Key",
    does: "Description",
  },
  endpoints: {
    models: "Lists the models with their capabilities and prices.",
    model: "Returns one model.",
    credits: "Returns the balance.",
    packs: "Lists the credit packs on sale.",
    entries: "Lists every change of the balance, newest first.",
    grants: "Lists your credit grants: what is left of each, and when it expires.",
    usage: "Reports generations, images and credits by day, key and model, as JSON or CSV.",
    key: "Returns the key of the request: what it may do, and what it has spent.",
    generate: "Generates images.",
    estimate: "Returns the price of a request, and charges nothing.",
    list: "Lists your generations, newest first.",
    read: "Returns one generation with its images.",
    upload: "Uploads a reference image and keeps it for 24 hours.",
    deleteReference: "Deletes an uploaded reference image.",
    deliveries: "Lists the attempts to deliver the webhook of a generation.",
    resend: "Sends the webhook again.",
    secret: "Returns the secret that verifies webhooks.",
    rotate: "Replaces that secret. The old one stays valid for 24 hours.",
    cancel: "Cancels a queued generation and refunds it.",
    delete: "Deletes a generation that has ended, with its images.",
    events: "Server-sent events: each change of its status, until it ends.",
    openai: "The base URL for OpenAI clients: images, edits, streams with partial images, and models.",
  },
  reference: "API reference: every endpoint and field",
  needsKey: "yes",
  needsNoKey: "no",
  fields: {
    model: "Required.",
    prompt: "Required. Describes the image.",
    size: "Default: auto.",
    quality: "The effort of the provider. It does not change the price.",
    aspect_ratio: "Instead of a size: the largest size of this ratio that the resolution allows.",
    resolution: "With an aspect ratio. It determines the price.",
    n: "Number of images. Each one is charged.",
    async: "Respond immediately instead of waiting.",
    output_format: "Default: the first format of the model. Leave it out where the provider chooses.",
    max_credits: "Refuses the request if it costs more.",
    metadata: "Your own labels. Lists can be filtered by them.",
    webhook_url: "Called when the generation ends.",
    reference_image: "In multipart/form-data only. Repeat it for several images.",
  },
  modelFacts: {
    id: "Model ID",
    aliases: "Aliases",
    provider: "Provider",
    ratios: "Aspect ratios",
    defaults: "Defaults",
    qualities: "Resolutions",
    renderQualities: "Render qualities",
    formats: "Output formats",
    formatsByProvider: "PNG or JPEG, chosen by the provider",
    references: "Maximum reference images",
    most: "Maximum images per request",
    promptMax: "Maximum prompt length",
  },
  anySize: ({ edgeMax, pixelsMax }) =>
    `Any size with edges of at most ${edgeMax} and at most ${pixelsMax} pixels in total.`,
  listedSizes: "The sizes in the second table only.",
  credit: (count) => `${count} credits`,
  codes: {
    invalid_request: "The body or a parameter is invalid; param names it.",
    contentPolicyViolation:
      "The provider rejected the prompt or a reference image. The credits were refunded.",
    unreadableReference: "The provider could not read a reference image. The credits were refunded.",
    missingApiKey: "The Authorization header is missing.",
    invalidApiKey: "The key does not exist or was revoked.",
    expiredApiKey: "The key has expired.",
    insufficientCredits: "Not enough credits: see required and available.",
    keyLimitExceeded: "The key has reached its own limit: see required, available and resets_at.",
    forbidden: "The key lacks the scope, or may not use the model; or the account is suspended.",
    notFound: "The resource does not exist, or belongs to another account.",
    methodNotAllowed: "The endpoint does not support this method; see Allow.",
    conflict: "The request conflicts with an existing resource.",
    notCancelable: "The generation has started or ended and cannot be canceled.",
    payloadTooLarge: "The body is too large.",
    unsupportedMediaType: "Unsupported Content-Type.",
    idempotencyMismatch: "The idempotency key was used with a different request.",
    rateLimited: "Too many requests; retry after Retry-After seconds.",
    generationFailed: "The images could not be generated. The credits were refunded.",
    internalError: "Something went wrong on our side.",
    serviceUnavailable: "The service is temporarily unavailable. You were not charged.",
  },
  limits: ({ waitSeconds, imagesMax, promptMax, referencesMax, megabytes }) => [
    `A sync request waits for at most ${waitSeconds} seconds.`,
    `A request generates 1 to ${imagesMax} images.`,
    `A prompt has at most ${promptMax} characters.`,
    `At most ${referencesMax} reference images, of at most ${megabytes} MB each.`,
  ],
  labels: {
    request: "Request",
    answer: "Response",
    accepted: "Response to an async request",
    error: "Error",
    copy: "Copy",
    javascript: "Request in JavaScript",
    python: "Request in Python",
  },
};
