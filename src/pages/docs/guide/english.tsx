import type { Guide } from "./guide.ts";

export const english: Guide = {
  lang: "en",
  name: "English",
  path: "/docs",
  page: {
    skip: "Skip to content",
    docs: "Docs",
    reference: "API reference",
    changelog: "Changelog",
    terms: "Terms",
    privacy: "Privacy",
    support: "Support",
    status: "Status",
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
    async: "Wait for the result",
    webhooks: "Webhooks",
    read: "Retrieve a generation",
    list: "List generations",
    delete: "Cancel and delete",
    idempotency: "Idempotent requests",
    credits: "Credits",
    cost: "Control costs",
    openai: "OpenAI SDKs",
    client: "TypeScript client",
    "test-keys": "Test keys",
    errors: "Errors",
    retries: "Retries",
    "rate-limits": "Rate limits",
    limits: "Limits",
  },
  headings: {
    saving: "Save an image",
    waiting: "Wait for a limited time",
    polling: "Poll for the result",
    events: "Stream events",
    verifying: "Verify a webhook",
    commands: "Command line",
  },
  steps: [
    <>
      <a href="/sign-up">Create an account</a>, then create a key under API keys. The key is shown once: store
      it safely. The examples read it from the environment variable <code>GIH_KEY</code>.
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
  saving: [
    <>
      Download the image from its <code>url</code>, with any HTTP client and without a key:
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
  ],
  waiting: ({ waitSeconds }) => [
    <>
      With the header <code>Prefer: wait=30</code> the response comes when the generation ends: the images
      with status 200, or after 30 seconds the response above. You can wait for 1 to {waitSeconds} seconds.
    </>,
  ],
  polling: [
    <>
      Read the <code>poll_url</code> until the status is neither <code>queued</code> nor{" "}
      <code>processing</code>. With <code>Prefer: wait=N</code> (1 to 60 seconds) each request waits for the
      end of the generation, so you need few requests and get the result immediately.
    </>,
  ],
  events: [
    <>
      The stream sends a <code>generation</code> event with the whole generation immediately and at each
      change of its status. It closes when the generation ends. If the connection breaks, open it again.
    </>,
  ],
  webhooks: [
    <>
      With <code>webhook_url</code> the API sends a <code>POST</code> with the generation to your server when
      it ends. Respond with a 2xx status within 15 seconds. Otherwise it is sent again for up to 28 hours,
      with the same <code>webhook-id</code>.
    </>,
    <>
      <code>GET /api/v1/generations/:id/deliveries</code> lists the attempts with the status of each, and{" "}
      <code>POST</code> to the same path sends the webhook again.
    </>,
  ],
  verifying: [
    <>
      Each webhook is signed with your webhook secret. The first request below returns it, and the{" "}
      <a href="/account/settings">settings page</a> shows it. The client verifies the signature and the time,
      and returns the event. Any other <a href="https://www.standardwebhooks.com/">Standard Webhooks</a>{" "}
      library works, too. Verify the body as it arrived, before you parse it.
    </>,
  ],
  read: [
    <>Returns a generation with its images. A key can only retrieve the generations of its own account.</>,
  ],
  list: [
    <>
      Generations are listed newest first, 20 per page, or as many as <code>limit</code> (1 to 100). To get
      the next page, send <code>next_cursor</code> as <code>cursor</code>. It is null on the last page.
    </>,
    <>
      Filter by <code>status</code>, <code>model</code>, <code>created_after</code>,{" "}
      <code>created_before</code> (ISO 8601), <code>idempotency_key</code>, and your own labels:{" "}
      <code>metadata[project]=website</code>. A page can have fewer than <code>limit</code> generations, so
      continue until <code>next_cursor</code> is null.
    </>,
  ],
  delete: [
    <>
      A generation that is still <code>queued</code> can be canceled. It is refunded in full. Once the
      provider was called for it, the response is 409 <code>notCancelable</code>.
    </>,
    <>
      A generation that has ended can be deleted, with its images and its prompt. The response is 204 without
      a body, and from then on the generation and the URLs of its images return 404. Deletion is not refunded
      and cannot be undone. Browsers and CDNs may keep copies for a time.
    </>,
  ],
  idempotency: [
    <>
      If a response is lost, you do not know whether you were charged. Send an <code>Idempotency-Key</code>{" "}
      and repeat the request as often as you like: there is one generation and one charge. The key is 1 to 255
      visible ASCII characters that you choose, such as the number of an order.
    </>,
    <>
      A repeated request returns the first generation, with the header <code>Idempotent-Replayed: true</code>.
      While it is running, the request waits for it, or returns 202 if it is async. The same key with a
      different request is a 422 <code>idempotencyMismatch</code>.
    </>,
    <>
      A key is kept until 24 hours after the end of its generation. If the generation failed, a repeated
      request returns the same failure: use a new key to try again. A request that is rejected with 400, 402,
      429 or 503 does not use up its key.
    </>,
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
  cost: [
    <>
      <code>POST /api/v1/images/estimate</code> takes the body of a request and returns its price, or the same
      error. Nothing is charged.
    </>,
    <>
      <code>max_credits</code> in a request rejects it with a 400 if it costs more.
    </>,
    <>
      A key can have a limit of credits per day, per month or in total, and be restricted to some models or to
      reading. Set this on the <a href="/account/keys">API keys page</a>. <code>GET /api/v1/key</code> returns
      what the key has spent. Beyond its limit, the response is 402 <code>keyLimitExceeded</code>.
    </>,
    <>
      <code>metadata</code> labels a request with your own data.{" "}
      <code>GET /api/v1/usage?group_by=day,key,model</code> reports what was spent.
    </>,
  ],
  openai: [
    <>
      Programs for OpenAI's image API work with another base URL and another key: generations, edits and
      streams with partial images. Install the SDK with <code>pip install openai</code> or{" "}
      <code>npm install openai</code>. When it retries a request, you are charged once.
    </>,
    <>
      Many programs read the two settings from <code>OPENAI_BASE_URL</code> and <code>OPENAI_API_KEY</code>.
      Images are returned as base64, or as URLs with <code>response_format</code>:
    </>,
  ],
  client: [
    <>
      The npm package <code>gpt-image-hub</code> has a typed client for Node, browsers, Deno, Bun and Workers.
      It waits for results, retries with an idempotency key, and requests the pages of lists as they are
      needed. Each error has a class.
    </>,
  ],
  commands: [
    <>
      The same package is a command line, which reads the key from <code>GIH_KEY</code>. Results go to
      standard output. <code>npx gpt-image-hub --help</code> lists all commands.
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
  retries: [
    <>
      Send each request with an <code>Idempotency-Key</code>, and repeat it with the same key when the problem
      is temporary. Double the time between attempts, and stop after a few. The client does all this.
    </>,
  ],
  advice: [
    <>429 and 503: nothing was charged. Wait for the seconds in Retry-After, then repeat the request.</>,
    <>
      No response, 500 <code>internalError</code>, or an error of a gateway (502, 504): repeat the request. If
      the first attempt was accepted, you get its generation.
    </>,
    <>
      500 <code>generationFailed</code>: the credits were refunded. Try again with a new idempotency key.
    </>,
    <>All other errors: change the request, the key or the balance first.</>,
  ],
  rateLimits: ({ perMinute, unfinished }) => [
    <>
      New generations per minute: {perMinute === 0 ? "no limit" : perMinute}. Unfinished generations at a
      time: {unfinished === 0 ? "no limit" : unfinished}. The limits apply to all live keys of an account
      together, and separately to its test keys. Rejected and repeated requests do not count. Other requests,
      such as polls, are limited to about 1,200 per minute and key.
    </>,
    <>
      Beyond a limit, the response is 429 <code>rateLimited</code>, with <code>Retry-After</code> in seconds.
      While a limit is on, responses to new generations show what is left of it: in this example, 119 of 120
      for the next 60 seconds, and 19 of 20 at a time.
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
    output_compression: "The compression level of JPEG and WebP.",
    background: "Default: auto.",
    moderation: "How strictly the provider filters content. Default: auto.",
    user: "Your id of your own user. The provider gets only a hash of it.",
    response_format: "Accepted and ignored: images are always returned as URLs.",
    max_credits: "Refuses the request if it costs more.",
    metadata: "Your own labels. Lists can be filtered by them.",
    webhook_url: "Called when the generation ends.",
    reference_images: "In JSON only: https URLs, data URLs, and ids of uploaded references.",
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
    language: "Language",
    variable: "Environment variable",
    header: "Header",
    request: "Request",
    answer: "Response",
    accepted: "Response to an async request",
    error: "Error",
    receiver: "Receiver of webhooks in JavaScript",
    program: "Program in JavaScript",
    commands: "Commands",
    headers: "Headers of a response",
    copy: "Copy",
  },
};
