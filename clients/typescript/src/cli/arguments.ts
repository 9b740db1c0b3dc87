import { parseArgs } from "node:util";

/** The command line cannot be understood. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export const HELP = `Usage: gpt-image-hub <prompt> [options]
       gpt-image-hub <command> [options]

Makes images from text, and saves them.

Commands:
  generate <prompt>      the same as without a command; "-" reads the prompt from standard input
  get <id>               show a generation; with -o, wait for its end and save its images
  list                   list generations, newest first
  cancel <id>            cancel a queued generation
  delete <id>            delete a generation that has ended, with its images
  models                 list models and prices
  credits                show the balance
  usage                  show generations, images and credits by day, key and model
  login                  store the URL of the service and an API key

Options:
  -o, --output <file>    where to save; "-" is standard output. Default: a name made from the prompt
  -m, --model <id>       default: gpt-image-2
  -s, --size <size>      such as 1536x1024
  -a, --aspect-ratio <r> such as 16:9
  -r, --resolution <r>   1K, 2K or 4K
  -q, --quality <q>      auto, low, medium or high
  -n <count>             the number of images
  -f, --format <format>  png, jpeg or webp. Default: that of --output, or the model's
      --ref <image>      a file, an https URL or the id of an uploaded reference; can be repeated
      --async            print the id, and do not wait
      --estimate         print the price, and generate nothing
      --idempotency-key <key>  a repeated command with the same key is charged once
      --limit <count>    of list; default: 20
      --status <status>  of list
      --from <day>, --to <day>  of usage, such as 2026-04-30; default: the last 30 days
      --url <url>        the service; default: GIH_URL, or that of login
      --json             print JSON, one object a line
      --no-preview       do not show images in the terminal
  -h, --help             show this text
  -V, --version          show the version

The API key is read from GIH_KEY, or is that of login.

Exit codes: 0 done, 1 failed, 2 wrong usage or invalid request, 3 API key, 4 credits, 5 refused content,
6 temporary (no connection, rate limit, unavailable), 130 interrupted.
`;

const OPTIONS = {
  output: { type: "string", short: "o" },
  model: { type: "string", short: "m" },
  size: { type: "string", short: "s" },
  "aspect-ratio": { type: "string", short: "a" },
  resolution: { type: "string", short: "r" },
  quality: { type: "string", short: "q" },
  n: { type: "string", short: "n" },
  format: { type: "string", short: "f" },
  ref: { type: "string", multiple: true },
  async: { type: "boolean" },
  estimate: { type: "boolean" },
  "idempotency-key": { type: "string" },
  limit: { type: "string" },
  status: { type: "string" },
  from: { type: "string" },
  to: { type: "string" },
  url: { type: "string" },
  json: { type: "boolean" },
  "no-preview": { type: "boolean" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "V" },
} as const;

export type Options = ReturnType<typeof parse>["values"];

function parse(args: string[]) {
  return parseArgs({ args, options: OPTIONS, allowPositionals: true, strict: true });
}

const COMMANDS = [
  "generate",
  "get",
  "list",
  "cancel",
  "delete",
  "models",
  "credits",
  "usage",
  "login",
] as const;

export type Command = {
  name: (typeof COMMANDS)[number] | "help" | "version";
  operands: string[];
  options: Options;
};

/** @throws {UsageError} */
export function readCommand(args: string[]): Command {
  const { values: options, positionals } = parsed(args);
  const [first, ...rest] = positionals;
  if (options.help) return { name: "help", operands: [], options };
  if (options.version) return { name: "version", operands: [], options };
  if (first === undefined) throw new UsageError("A prompt or a command is needed.");
  const name = COMMANDS.find((command) => command === first);
  const command: Command =
    name === undefined
      ? { name: "generate", operands: positionals, options }
      : { name, operands: rest, options };
  const takesOne = ["generate", "get", "cancel", "delete"].includes(command.name);
  if (command.operands.length !== (takesOne ? 1 : 0)) throw new UsageError(operandsRule(command.name));
  return command;
}

function operandsRule(name: string): string {
  switch (name) {
    case "generate":
      return 'Give one prompt, in quotes: "a lighthouse at dusk".';
    case "get":
    case "cancel":
    case "delete":
      return `${name} takes the id of one generation.`;
    default:
      return `${name} takes options only.`;
  }
}

function parsed(args: string[]) {
  try {
    return parse(args);
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** @throws {UsageError} for an option that is not a whole number from 1 on */
export function countOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError(`${name} must be a whole number from 1 on.`);
  return Number(text);
}
