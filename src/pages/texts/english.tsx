import type { Child } from "hono/jsx";
import { FAILURE_MESSAGES } from "../../account/render.ts";
import { formatsIn } from "../format.ts";

const format = formatsIn("en", "en-GB");
const { number } = format;

/** "1 image", "1,200 images" */
export function counted(count: number, noun: string): string {
  return `${number(count)} ${noun}${Math.abs(count) === 1 ? "" : "s"}`;
}

const credits = (count: number) => counted(count, "credit");
const failures: Record<keyof typeof FAILURE_MESSAGES, string> = FAILURE_MESSAGES;

/**
 * The texts of the pages in English. Their type is that of every language, so a text that is missing in one does not
 * compile. A sentence with a link or a value is a function.
 */
export const english = {
  /** BCP 47. */
  lang: "en",
  /** The name of the language in that language. */
  name: "English",
  /** The pages that have an address for each language, because everyone gets the same from a cache. */
  paths: { home: "/", guide: "/docs", terms: "/terms", privacy: "/privacy", search: "/docs/search" },
  format,
  credits,
  images: (count: number) => counted(count, "image"),
  copy: "Copy",

  frame: {
    skip: "Skip to content",
    main: "Main",
    docs: "Docs",
    reference: "API reference",
    changelog: "Changelog",
    terms: "Terms",
    privacy: "Privacy",
    support: "Support",
    status: "Status",
    signIn: "Sign in",
    signUp: "Create an account",
    signOut: "Sign out",
    footer: "Prepaid credits. Failed images are refunded automatically.",
    account: "Account",
    overview: "Overview",
    playground: "Playground",
    images: "Images",
    keys: "API keys",
    credits: "Credits",
    settings: "Settings",
  },

  search: {
    label: "Search the documentation",
    placeholder: "Search ( / )",
    submit: "Search",
    none: "Nothing found",
    found: "results",
    title: "Search",
  },

  errors: {
    titles: {
      400: "Bad request",
      403: "Request rejected",
      404: "Page not found",
      413: "Request too large",
      429: "Too many attempts",
      503: "Not available",
    },
    failed: "Something went wrong",
    support: (requestId: string) =>
      `Try again in a moment. If this keeps happening, contact support with the request ID ${requestId}.`,
    notFound: (docs: Child, account: Child) => (
      <>
        Try the {docs} or {account}.
      </>
    ),
    documentation: "documentation",
    yourAccount: "your account",
    otherSite: "This form was sent from another site.",
    notConfigured: "Sign-in is not configured: this server has no AUTH_SECRET.",
    suspended: "This account is suspended. Contact the operator of this service.",
    notAForm: "This page accepts only form submissions.",
    formTooLarge: "The form is too large.",
    formTooSlow: "The form took too long to arrive. Send it again.",
    formUnreadable: "The form could not be read.",
    againInMinutes: (minutes: number) => `Try again in ${counted(minutes, "minute")}.`,
    noGeneration: "This generation does not exist.",
  },

  landing: {
    title: "GPT Image Hub: an image-generation API",
    description: "An image-generation API with keys, prepaid credits and automatic refunds.",
    heading: "Generate images with one HTTP request.",
    lead: "One API key, one request, one to four images. You pay with prepaid credits, and failed images are refunded automatically.",
    signUp: "Create an account",
    docs: "Read the docs",
    prices: "Prices",
    model: "Model",
    pricesHint:
      "Per image, in any aspect ratio. 1K is about 1 megapixel, 2K about 4, 4K 8 and more. Failed images are free.",
    request: "One request is all you need",
    sample: "Example request",
    facts: [
      [
        "Sync or async.",
        <>
          Wait for the images, or send <code>async</code> and poll for them.
        </>,
      ],
      ["Safe to disconnect.", "An accepted request is completed, stored and charged once."],
      ["Reference images.", "Send up to sixteen images with a prompt."],
      ["A complete ledger.", "Your account lists every charge and every refund."],
    ] satisfies [string, Child][],
    examples: "Examples",
    prompts: {
      lighthouse: "a lighthouse at dusk",
      cabin: "a mountain cabin by a lake, evening",
      city: "a city skyline at night",
      winter: "a village in the snow under a full moon",
      desert: "desert dunes at noon",
      forest: "a forest in autumn rain",
      balloons: "balloons over green hills",
    },
    pictureOf: (prompt: string) => `Generated from the prompt: ${prompt}`,
    quoted: (prompt: string) => `“${prompt}”`,
  },

  auth: {
    email: "Email",
    password: "Password",
    notAnEmail: "Enter an email address, such as ada@example.com.",
    passwordHint: (least: number) => `At least ${least} characters. Several words are easy to remember.`,
    passwordShort: (least: number) => `The password must have at least ${least} characters.`,
    passwordLong: (most: number) => `The password must have at most ${most} characters.`,
    linkExpired: "This link has expired or was already used. Request a new one.",
    continueWith: (provider: string) => `Continue with ${provider}`,
    orPassword: "or with a password",
    signIn: "Sign in",
    toContinue: "Sign in to continue.",
    otherFailed: "Sign-in with the other service failed. Try again, or use your password.",
    noMethod: "This sign-in method is not available.",
    enterPassword: "Enter your password.",
    wrong: "Wrong email or password.",
    unverified: "Confirm your email address first. We sent you a new link.",
    passkeySignIn: "Sign in with a passkey",
    passkeyRefused: "Sign-in with the passkey failed. Try again, or use your password.",
    forgot: "Forgot your password?",
    newHere: "New here?",
    signUp: "Create an account",
    createAccount: "Create account",
    free: (count: number) => `Free. Includes ${credits(count)}, valid for 30 days.`,
    freeWithout: "Free. Images cost credits; contact support to get some.",
    haveAccount: "Already have an account?",
    taken: "An account with this email already exists. Sign in instead.",
    checkEmail: "Check your email",
    confirmationSent: (email: string) => `We sent a confirmation link to ${email}. It expires in one hour.`,
    noMail: "This server cannot send email. Contact support to reset your password.",
    reset: "Reset your password",
    resetHint: "We will email you a link. It expires in one hour.",
    sendLink: "Send link",
    resetSent: (email: string) =>
      `If ${email} has an account, we sent it a link to choose a new password. The link expires in one hour.`,
    choose: "Choose a new password",
    change: "Change password",
    changed: "Password changed",
    signInAgain: "Sign in",
    signedOut: (signIn: Child) => <>You were signed out on all devices. {signIn} with your new password.</>,
  },

  status: {
    queued: "Queued",
    processing: "Generating",
    succeeded: "Ready",
    failed: "Failed",
    canceled: "Canceled",
  },
  failures,

  /** Of several pages of an account. */
  parts: {
    select: (prompt: string) => `Select ${prompt}`,
    noCredits: "You have no credits.",
    noCreditsHow: (get: Child, docs: Child) => (
      <>
        {get} to generate images. Meanwhile, create an API key or read {docs}.
      </>
    ),
    buyPack: "Buy a credit pack",
    contactSupport: (email: string) => `Contact support to add credits to ${email}`,
    theDocumentation: "the documentation",
    allImages: "All images",
    recentImages: "Recent images",
    generateImage: "Generate an image",
    cancel: "Cancel",
    save: "Save",
    live: "Live",
    test: "Test",
    left: (amount: Child) => <>{amount} left</>,
    balanceLeft: (amount: string) => (
      <>
        {amount} <span>left</span>
      </>
    ),
  },

  overview: {
    welcome: "Welcome",
    ready: "Your account is ready.",
    readyNext: "Generate an image here, or create an API key.",
    balance: "Balance",
    credit: (count: number): string => (count === 1 ? "credit" : "credits"),
    accountType: (type: string) => `${type} account`,
    getStarted: "Get started",
    createKey: "Create an API key",
    expiring: "Expiring credits",
    noneExpires: "None of your credits expire.",
    on: (date: string, days: number) =>
      `on ${date}, ${days < 1 ? "within a day" : `in ${counted(days, "day")}`}`,
    allCredits: "All credits",
    noImages: "No images yet.",
    firstImage: "Generate your first image",
  },

  playground: {
    prompt: "Prompt",
    forExample: (prompt: string) => `For example: ${prompt}`,
    examplePrompt: "a lighthouse at dusk",
    references: "Reference images",
    referencesHint: "Choose files, or drop or paste them here.",
    labels: {
      model: "Model",
      aspect_ratio: "Aspect ratio",
      resolution: "Resolution",
      quality: "Quality",
      n: "Images",
      output_format: "Format",
      output_compression: "Compression quality",
      background: "Background",
      moderation: "Moderation",
    },
    exactSize: "An exact size ignores the resolution.",
    youHave: (amount: Child) => <>You have {amount}.</>,
    getCredits: "Get credits",
    priceDepends: (prices: Child) => (
      <>The price depends on the model, the resolution and the number of images: {prices}.</>
    ),
    seePrices: "see the prices",
    generate: "Generate",
    result: "Result",
    running: "A generation is running.",
    openGeneration: "Open this generation",
    appearsHere: "Your image appears here.",
    code: "Code",
    codeHint: (key: Child) => (
      <>
        Set <code>GIH_KEY</code> to an {key} to run this. The last one needs <code>pip install openai</code>.
      </>
    ),
    apiKey: "API key",
    language: "Language",
    request: "Request",
    price: (price: number, images: number, size: string) =>
      `${credits(price)} for ${counted(images, "image")}, ${size}`,
    automaticSize: "automatic size",
    earlierReferences: (count: number) =>
      `The earlier generation used ${counted(count, "reference image")}. References are not kept: add them again.`,
    earlierPrompt: (most: number) =>
      `Only the first ${number(most)} characters of a prompt are kept. Check that yours is complete.`,
    enterPrompt: "Enter a prompt.",
    promptTooLong: (most: number) => `A prompt has at most ${number(most)} characters.`,
    noModel: "This model does not exist.",
    notEnough: (required: number, available: number) =>
      `Not enough credits: this costs ${number(required)}, and you have ${number(available)}.`,
    unavailable: "The service is not available right now. You were not charged. Try again.",
    rateLimited: (seconds: number) =>
      `You have reached the rate limit. Try again in ${counted(seconds, "second")}.`,
    alreadySent: "This form was already sent with other values. Reload the page.",
    wasDeleted: "The image of this form was deleted. Reload the page.",
    unknown: "Your account did not answer. Send the form again: it is charged once.",
    noImage: "This image does not exist.",
    referenceNeeds: (required: number, available: number) =>
      `A reference needs the credits for an image: ${number(required)}. You have ${number(available)}.`,
    tooManyUploads: (seconds: number) => `Too many uploads. Try again in ${counted(seconds, "second")}.`,
    referencesFull: "You have uploaded too many references today. Each is deleted after 24 hours.",
    noAnswer: "Your account did not answer. Try again.",
  },

  /** Of the scripts, which replace `{value}`. */
  scripts: {
    copied: "Copied",
    notCopied: "Not copied",
    passkeyMissing: "This browser cannot use passkeys here.",
    passkeyKnown: "Your account already has a passkey on this device.",
    passkeyUnused: "No passkey was used. Try again.",
    passkeyFailed: "Passkeys do not work at the moment. Try again later.",
    queued: "Queued",
    generating: "Generating",
    seconds: "{seconds} s",
    retrying: "No connection. Retrying…",
    sending: "Sending…",
    sent: "Sent",
    openGeneration: "Open this generation",
    lostTrack: "Lost track of this generation.",
    seeReceipt: "See the receipt",
    loadingImages: "Loading the images",
    receiptAndSettings: "Receipt and settings",
    imagesReady: "The images are ready.",
    cancelAndRefund: "Cancel and refund",
    noResponse: "No response. Send the form again: unless you change it, it is charged once.",
    seeImages: "See your images",
    pastedImage: "Pasted image",
    earlierImage: "Earlier image",
    noReferences: "This model takes no reference images.",
    upToReferences: "Up to {most}. Choose files, or drop or paste them here.",
    uploadFailed: "The upload failed. Try again.",
    remove: "Remove",
    removeNamed: "Remove {name}",
    oneCredit: "{count} credit",
    credits: "{count} credits",
    left: "{credits} left",
  },

  history: {
    noMatch: "No images match.",
    none: "No images.",
    showAll: "Show all images",
    newest: "Newest",
    older: "Older",
    searched: (rows: number) => `A page searches ${number(rows)} generations.`,
    download: "Download selected (zip)",
    searchPrompts: "Search in prompts",
    search: "Search",
    filters: "Filters",
    status: "Status",
    model: "Model",
    key: "Key",
    mode: "Mode",
    from: "From",
    to: "To",
    all: "All",
    utc: "Days are in UTC.",
    selectOne: "Select at least one image on the page before.",
    selectMost: (most: number) => `Select at most ${most} images.`,
    noImages: "These have no images.",
  },

  generation: {
    canceled: "Canceled. Your credits were returned.",
    wholePrompt: "Show the whole prompt",
    promptKept: (most: number) => `Only the first ${number(most)} characters are kept.`,
    lostTrack: "Lost track of this generation.",
    reload: "Reload the page",
    copyPrompt: "Copy prompt",
    usePrompt: "Use this prompt again",
    image: (at: number) => ` image ${at}`,
    download: "Download",
    copyLink: "Copy link",
    asReference: "Use as reference",
    vary: "Vary",
    cancel: "Cancel and refund",
    delete: "Delete",
    deleteHint:
      "Deletes the prompt and the images for good. Links to the images stop working. The charge stays in your ledger.",
    deleteButton: "Delete this generation",
    settings: "Settings",
    status: "Status",
    mode: "Mode",
    model: "Model",
    size: "Size",
    automatic: "Automatic",
    chosen: "(automatic)",
    aspectRatio: "Aspect ratio",
    resolution: "Resolution",
    quality: "Quality",
    images: "Images",
    format: "Format",
    references: "References",
    created: "Created",
    id: "ID",
    receipt: "Receipt",
    charged: "Charged",
    refunded: "Refunded",
    reserved: "Reserved",
    paid: "Paid",
    ended: "Ended",
  },

  webhooks: {
    secret: "Webhook secret",
    verifies: (standard: Child) => (
      <>
        Verifies the webhooks of your generations, as {standard} describes. Those of a test key have a secret
        of their own, which <code>GET /api/v1/webhooks/secret</code> returns with that key.
      </>
    ),
    show: "Show the secret",
    previous: (until: Child) => <>The secret before this one signs until {until}.</>,
    replace: "Replace the secret",
    both: "For 24 hours, webhooks are signed with both secrets.",
    webhook: "Webhook",
    deliveries: "Webhook deliveries",
    attempt: "Attempt",
    sent: "Sent",
    answer: "Answer",
    next: "Next attempt",
    noAnswer: "No answer",
    noConnection: "No connection",
    none: "None",
    again: "Send again",
    notSent: "This generation has no webhook that can be sent.",
  },

  keys: {
    lead: (testKeys: Child) => (
      <>
        Use one key per app, so that you can revoke it separately. A test key uses no credits: see {testKeys}.
      </>
    ),
    testKeys: "Test keys",
    none: "You have no keys yet.",
    list: "Your keys",
    more: "More keys",
    name: "Name",
    mode: "Mode",
    expires: "Expires",
    lifetimes: {
      never: "Never",
      7: "In 7 days",
      30: "In 30 days",
      90: "In 90 days",
      365: "In a year",
    },
    limits: "Limit what it may do and spend",
    create: "Create key",
    nameMissing: "Enter a name for this key.",
    nameTooLong: (most: number) => `A name has at most ${most} characters.`,
    modeMissing: "Choose Live or Test.",
    lifetimeMissing: "Choose when this key expires.",
    again: "Reload the API keys page and create the key again.",
    tooMany: (most: number) => `You already have ${most} active keys. Revoke one that you do not need.`,
    unknown: "This key does not exist.",
    neverUsed: "Never used",
    lastUsed: (day: Child) => <>Last used {day}</>,
    created: (day: Child) => <>created {day}</>,
    neverExpires: "never expires",
    willExpire: (day: Child) => <>expires {day}</>,
    hasExpired: (day: Child) => <>expired {day}</>,
    revoked: "Revoked",
    expired: "Expired",
    change: "Change",
    revoke: "Revoke",
    changeTitle: "Change a key",
    changeHeading: (name: string) => `Change “${name}”`,
    changeHint: (key: Child) => <>Changes apply from the next request of {key} on.</>,
    revokeTitle: "Revoke a key",
    revokeHeading: (name: string) => `Revoke “${name}”?`,
    revokeHint: (key: Child) => <>Apps that use {key} stop working immediately. This cannot be undone.</>,
    revokeKey: "Revoke key",
    existsTitle: "Key already created",
    existsHeading: (name: string) => `The key “${name}” was already created`,
    existsHint: (key: Child) => (
      <>
        This form already created {key}, so no second key was created. A key is shown only once. If you did
        not save it, revoke it and create another.
      </>
    ),
    goToKeys: "Go to your keys",
    revokeThis: "Revoke this key",
    newTitle: "Your new key",
    newHeading: (name: string) => `Your new key “${name}”`,
    copyNow: "Copy it now.",
    seenOnce: "You will not be able to see it again.",
    done: "Done",
    tryIt: "Try it",
    tryHint: (
      <>
        Put the key into the environment variable <code>GIH_KEY</code>, then run:
      </>
    ),
    sample: "Example request",
  },

  terms: {
    scopes: { generate: "Generate images", read: "Read images, credits and usage" },
    periods: { day: "A day (UTC)", month: "A month (UTC)", total: "In total" },
    allowed: "Allowed to",
    allowOne: "Allow at least one.",
    models: "Only these models (none: all)",
    limit: "Spending limit",
    credits: "Credits",
    empty: "Empty: no limit.",
    period: "Period",
    periodMissing: "Choose a period.",
    notANumber: "Enter a whole number of credits, or leave it empty.",
    outOfRange: (most: number) => `Enter 1 to ${number(most)} credits, or leave it empty.`,
    spent: (spent: number) => `Spent ${credits(spent)}`,
    spentOf: (spent: number, limit: number, period: "day" | "month" | "total") => {
      const periods = { day: "today", month: "this month", total: "in total" };
      return `Spent ${number(spent)} of ${credits(limit)} ${periods[period]}`;
    },
    onlyScopes: (scopes: string) => `only: ${scopes}`,
    onlyModels: (models: string) => `only ${models}`,
  },

  credit: {
    grants: "Credit grants",
    transactions: "Transactions",
    older: "Older transactions",
    none: "None yet.",
    source: "Source",
    remaining: "Remaining",
    total: "Total",
    granted: "Granted",
    expires: "Expires",
    never: "never",
    expired: "(expired)",
    unnamed: "Credits",
    signup: "Welcome",
    type: "Type",
    credits: "Credits",
    balanceAfter: "Balance after",
    date: "Date",
    kinds: {
      grant: "Credits granted",
      charge: "Charge",
      refund: "Refund",
      expiry: "Expired",
      reversal: "Taken back",
    },
  },

  usage: {
    daily: "Daily usage",
    show: "Show usage",
    byModel: "By model",
    byKey: "By key",
    asTable: "As a table",
    usage: "Usage",
    day: "Day",
    key: "Key",
    model: "Model",
    credits: "Credits",
    notKnown: "Not known",
    others: (count: number) => `${count} others`,
    download: "Download a year as CSV",
    chart: (days: number, total: number) =>
      `Credits used in the last ${days} days: ${number(total)} in total.`,
  },

  buying: {
    notOnSale: "This pack is not on sale.",
    failed: "The payment page could not be opened. Nothing was charged. Try again in a moment.",
    buyCredits: "Buy credits",
    noneOnSale: (email: string) =>
      `This site sells no credits online. Contact support to add credits to ${email}.`,
    testMoney: "Test money.",
    testMoneyHint: "Payments on this site move no money.",
    credits: "credits",
    perThousand: (money: string) => `${money} for 1,000 credits`,
    neverExpire: "The credits never expire.",
    lastDays: (days: number) => `The credits last ${days} days.`,
    buy: "Buy",
    buyNamed: (pack: string) => `Buy ${pack}`,
    added: (count: number) => `Thank you. ${credits(count)} were added.`,
    wasRefunded: "This purchase was refunded.",
    paymentFailed: "The payment failed. Nothing was charged.",
    awaited: "Waiting for the payment. The credits are added when it arrives.",
    left: "You left the payment page. Nothing was charged.",
    purchases: "Purchases",
    pack: "Pack",
    amount: "Credits",
    price: "Price",
    status: "Status",
    date: "Date",
    receipt: "Receipt",
    receiptFor: (pack: string) => `Receipt for ${pack}`,
    noReceipt: "There is no receipt.",
    receiptLater: "The receipt is not available now. Try again in a moment.",
    paid: "Paid",
    paidPart: (back: string) => `Paid, ${back} refunded`,
    disputed: "Disputed",
    refunded: "Refunded",
    waiting: "Waiting for the payment",
    failedStatus: "Failed",
    notPaid: "Not paid",
  },

  settings: {
    passwordChanged: "Password changed. You were signed out on all other devices.",
    linkSent:
      "Check the new mailbox. We sent it a link that changes your email address. It expires in one hour.",
    sessionEnded: "Session ended. That device must sign in again.",
    account: "Account",
    email: "Email",
    accountType: "Account type",
    password: "Password",
    currentPassword: "Current password",
    newPassword: "New password",
    passwordHint: (least: number) => `At least ${least} characters.`,
    changePassword: "Change password",
    enterCurrent: "Enter your current password.",
    wrongCurrent: "This is not your current password.",
    withoutPassword: "You sign in with GitHub or Google.",
    addPassword: (request: Child) => <>To add a password, {request}.</>,
    requestLink: "request a link by email",
    sessions: "Active sessions",
    thisDevice: "This device",
    sinceAndLastUsed: (since: Child, lastUsed: Child) => (
      <>
        since {since}, last used {lastUsed}
      </>
    ),
    endSession: "End session",
    noSession: "There is no such session. It may have ended already.",
    signOutEverywhere: "Sign out everywhere",
    device: (browser: string, system: string) => `${browser} on ${system}`,
    unknownBrowser: "Unknown browser",
    unknownSystem: "an unknown system",
  },

  emailChange: {
    change: "Change email",
    newEmail: "New email address",
    yourPassword: "Your password",
    hint: "We send a link to the new address, and a notice to the current one.",
    same: "This is your email address already.",
    wrongPassword: "This is not your password.",
    notRecent: (minutes: number) =>
      `Sign out and sign in again, then change your address within ${minutes} minutes.`,
    noMail: "This server cannot send email. Contact support to change your address.",
    confirm: "Confirm your new email address",
    useThis: "Use this address",
    changed: "Email address changed",
    signInWith: (email: string) => `Sign in with ${email} from now on. Your sessions stay.`,
    yourAccount: "Your account",
  },

  passkeys: {
    title: "Passkeys",
    hint: "Sign in with your fingerprint, your face or the PIN of your device instead of your password.",
    needsDomain: "Passkeys need a site with a domain name, and this one is open at an IP address.",
    add: "Add a passkey",
    name: "Name of the passkey",
    nameHint: "To tell it apart, such as the device or app that keeps it.",
    continue: "Continue",
    asks: "Your browser asks where to keep the passkey, and for your fingerprint, your face or a PIN.",
    ask: "Create passkey",
    cancel: "Cancel",
    needsScript: "Passkeys need JavaScript, which your browser does not run here.",
    notRecent: (minutes: number) =>
      `Sign out and sign in again, then add the passkey within ${minutes} minutes.`,
    tooMany: (most: number) => `You have ${most} passkeys, which is the most. Remove one to add another.`,
    refused: "The passkey could not be added. Start again, and confirm within five minutes.",
    added: (when: Child) => <>added {when}</>,
    remove: "Remove",
    none: "There is no such passkey. It may have been removed already.",
    isAdded: "Passkey added. You can sign in with it now.",
    isRemoved: "Passkey removed. It no longer signs in here; you can delete it from your device too.",
  },

  notices: {
    emails: "Emails",
    lowBalance: "Tell me when my balance falls below",
    lowBalanceHint: (email: string) =>
      `One email to ${email}, and again only after the balance was above. Leave it empty for none.`,
    expiring: "Tell me when credits expire within 7 days",
    rule: (most: number) => `Enter a whole number from 1 to ${number(most)}, or nothing.`,
  },

  leaving: {
    data: "Your data",
    dataHint:
      "Your account, passkeys without their keys, API keys without their secrets, purchases, ledger, and generations with prompts and links to the images, as one JSON object on each line.",
    download: "Download my data",
    delete: "Delete account",
    deleteHint:
      "Your API keys stop working at once, and you are signed out everywhere. Your images, prompts and generations are deleted within minutes, and credits that are left are lost. We keep the ledger of your credits without your name and address. This cannot be undone.",
    yourPassword: "Your password",
    yourEmail: "Your email address",
    confirm: (email: string) => `To confirm, enter ${email}.`,
    deleteButton: "Delete my account",
    wrongPassword: "This is not your password.",
    wrongEmail: "This is not your email address.",
    deleted: "Account deleted",
    deletedHint: "Your API keys no longer work. Your images are deleted within minutes.",
  },

  mails: {
    reset: (link: string) => ({
      subject: "Choose a new password",
      text: `Choose a new password for GPT Image Hub:\n\n${link}\n\nThe link expires in one hour. If you did not request it, ignore this email.`,
    }),
    verify: (link: string) => ({
      subject: "Confirm your email address",
      text: `Confirm your email address for GPT Image Hub:\n\n${link}\n\nThe link expires in one hour. If you did not sign up, ignore this email.`,
    }),
    known: (link: string) => ({
      subject: "You already have an account",
      text: `Someone, probably you, tried to sign up for GPT Image Hub with this email address, which already has an account. Sign in or reset your password:\n\n${link}`,
    }),
    newEmail: (link: string) => ({
      subject: "Confirm your new email address",
      text: `Confirm that this is your new email address for GPT Image Hub:\n\n${link}\n\nThe link expires in one hour. If you did not request it, ignore this email.`,
    }),
    emailChange: (newEmail: string, settingsLink: string) => ({
      subject: "Your email address is about to change",
      text: `Someone, probably you, asked to change the email address of your GPT Image Hub account to ${newEmail}. The change takes effect when it is confirmed from there.\n\nIf this was not you, change or reset your password within the hour, which cancels it:\n\n${settingsLink}`,
    }),
    passkeyAdded: (link: string) => ({
      subject: "A passkey was added to your account",
      text: `Someone, probably you, added a passkey to your GPT Image Hub account. It signs in without the password, also after the password changes.\n\nIf this was not you, remove it, sign out everywhere and change your password:\n\n${link}`,
    }),
    emailTaken: () => ({
      subject: "You already have an account",
      text: "Someone, probably you, tried to change the email address of a GPT Image Hub account to this one, which already has an account. Nothing was changed.",
    }),
  },
};

export type Texts = typeof english;
