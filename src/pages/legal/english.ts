import { BACKUP_DAYS, type Documents } from "./documents.ts";

export const english: Documents = {
  updated: "Last updated",
  terms: {
    title: "Terms of service",
    description: "The terms for using GPT Image Hub.",
    parts: ({ operator, email, sellsCredits }) => [
      {
        id: "service",
        name: "The service",
        text: [
          `${operator} operates this service. It generates images from prompts and reference images, through this website and an API. By creating an account you accept these terms.`,
        ],
      },
      {
        id: "account",
        name: "Your account",
        text: [
          "Keep your password and your API keys secret. You are responsible for what is done with them. Revoke a key on your account's page if somebody else may know it.",
        ],
      },
      {
        id: "credits",
        name: "Credits",
        text: [
          "Generating images costs credits. The price is shown in the documentation and in your account before you send a request. Credits for images that are not delivered are returned automatically.",
          "Credits that expire show their date in your account. They cannot be transferred to another account.",
          ...(sellsCredits
            ? [
                `Payments are processed by Stripe. To ask for a refund of a purchase, write to ${email}. Your rights as a consumer are not affected.`,
              ]
            : []),
        ],
      },
      {
        id: "content",
        name: "Your content",
        text: [
          "You keep your rights in your prompts and reference images, and we claim none in the images that you generate. You allow us to store and process them as far as the service needs it.",
          "You need the right to use the reference images that you send. The company that provides a model may have further rules for its use.",
        ],
      },
      {
        id: "use",
        name: "Acceptable use",
        text: [
          "Do not generate content that is illegal, that sexualizes minors, or that deceives or harasses people. Do not try to get around limits, prices or safety filters, and do not disturb the service for others.",
          "We can suspend an account that breaks these rules.",
        ],
      },
      {
        id: "liability",
        name: "Availability and liability",
        text: [
          "We do not promise that the service is always available, or that an image is suitable for your purpose. Generated images can be wrong or resemble the work of others: check them before you publish them. Liability that the law does not allow us to exclude stays unaffected.",
        ],
      },
      {
        id: "end",
        name: "Changes and end",
        text: [
          "You can delete your account at any time on its settings page. If these terms change, the new ones are published here, with their date.",
        ],
      },
      {
        id: "contact",
        name: "Contact",
        text: [`Questions about these terms: ${email}.`],
      },
    ],
  },
  privacy: {
    title: "Privacy",
    description: "What GPT Image Hub stores about you, why, and for how long.",
    parts: ({ operator, email, retentionDays, sellsCredits }) => [
      {
        id: "controller",
        name: "Who is responsible",
        text: [`${operator} operates this service and is responsible for your data. Contact: ${email}.`],
      },
      {
        id: "account",
        name: "Account",
        text: [
          "We store your email address, your name if you sign in with GitHub or Google, and how you sign in: a hash of your password, or your id and encrypted tokens of that site. Of an API key we store a hash, its name and the day of its last use.",
          "A session stores your IP address and your browser's name until it expires. Attempts to sign in are counted by network and address for up to a day.",
          "If you got sign-up credits, a hash of your address is kept, so that they are granted once.",
        ],
      },
      {
        id: "images",
        name: "Prompts and images",
        text: [
          "Reference images are deleted when their generation ends. Those that you upload ahead are deleted within a day.",
          retentionDays === 0
            ? "Prompts, settings and generated images are stored until you delete them."
            : `Prompts, settings and generated images are stored until you delete them, and for at most ${retentionDays} days.`,
          "Anyone who knows the address of an image can open it. Addresses contain a random id and are not listed anywhere.",
        ],
      },
      {
        id: "ledger",
        name: "Credits and payments",
        text: [
          "Every charge and refund is kept in a ledger. It stays after an account or an image is deleted, without name, address, prompt or image.",
          ...(sellsCredits
            ? [
                "Stripe processes payments. We store what was bought, when, and the ids of the payment, but no card numbers.",
              ]
            : []),
        ],
      },
      {
        id: "logs",
        name: "Logs and cookies",
        text: [
          "Our logs contain ids, codes and times: no prompts, images, keys or email addresses.",
          "A cookie keeps you signed in. Your browser also remembers drafts, the language of code samples, and that you use a passkey. There are no cookies for advertising or statistics.",
        ],
      },
      {
        id: "recipients",
        name: "Who else gets data",
        text: [
          "The service runs at Cloudflare, which stores the data for us. The provider of a model gets the prompt and the reference images of a request. Images made with test keys are generated without a provider. If you set a webhook, its address gets the result. Emails are sent through a mail provider.",
        ],
      },
      {
        id: "rights",
        name: "Deletion and your rights",
        text: [
          "On the settings page you can download your data and delete your account. Address, name, sign-in methods and sessions are then deleted at once, and prompts and images within minutes.",
          `Copies in backups are deleted after ${BACKUP_DAYS} days. A browser may keep a copy of an image that it has shown.`,
          `For other requests, such as a correction, write to ${email}. You can also complain to your data protection authority.`,
        ],
      },
    ],
  },
};
