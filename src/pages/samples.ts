/** The body of a request in the code samples, which read the key from the environment variable `GIH_KEY`. */
export type SampleBody = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** The request as a curl command. */
export function curlSample(origin: string, body: SampleBody): string {
  const json = indent(JSON.stringify(body, null, 2)).replaceAll("'", `'\\''`);
  return `curl ${origin}/api/v1/images/generations \\
  -H "Authorization: Bearer $GIH_KEY" \\
  -H "Content-Type: application/json" \\
  -d '${json}'`;
}

export function javascriptSample(origin: string, body: SampleBody): string {
  return `const response = await fetch("${origin}/api/v1/images/generations", {
  method: "POST",
  headers: {
    "Authorization": \`Bearer \${process.env.GIH_KEY}\`,
    "Content-Type": "application/json",
  },
  body: JSON.stringify(${indent(JSON.stringify(body, null, 2))}),
});
const generation = await response.json();
if (!response.ok) throw new Error(generation.error.message);
console.log(generation.images.map((image) => image.url));`;
}

/** The request in Python, with its standard library only. */
export function pythonSample(origin: string, body: SampleBody): string {
  const fields = Object.entries(body).map(
    ([name, value]) => `    ${JSON.stringify(name)}: ${pythonValue(value)},`,
  );
  return `import json
import os
from urllib.error import HTTPError
from urllib.request import Request, urlopen

body = {
${fields.join("\n")}
}
request = Request(
    "${origin}/api/v1/images/generations",
    data=json.dumps(body).encode(),
    headers={
        "Authorization": "Bearer " + os.environ["GIH_KEY"],
        "Content-Type": "application/json",
    },
)
try:
    with urlopen(request, timeout=820) as response:
        generation = json.load(response)
except HTTPError as error:
    raise SystemExit(json.load(error)["error"]["message"])
print([image["url"] for image in generation["images"]])`;
}

/** The request with OpenAI's Python library. @param references ids of uploaded references, which its own methods do not take */
export function openaiSample(origin: string, body: SampleBody, references: readonly string[]): string {
  const client = `import os

from openai import OpenAI

client = OpenAI(api_key=os.environ["GIH_KEY"], base_url="${origin}/openai/v1")`;
  const show = "print([image.url for image in result.data])";
  const all: SampleBody = { ...body, response_format: "url" };
  if (references.length === 0) {
    const fields = Object.entries(all).map(([name, value]) => `    ${name}=${pythonValue(value)},`);
    return `${client}
result = client.images.generate(
${fields.join("\n")}
)
${show}`;
  }
  const fields = Object.entries({ ...all, images: references }).map(
    ([name, value]) => `        ${JSON.stringify(name)}: ${pythonValue(value)},`,
  );
  return `${client.replace("OpenAI\n", "OpenAI\nfrom openai.types import ImagesResponse\n")}
result = client.post(
    "/images/edits",
    cast_to=ImagesResponse,
    body={
${fields.join("\n")}
    },
)
${show}`;
}

/** Strings, numbers and lists of strings are the same in JSON and Python; booleans differ. */
function pythonValue(value: SampleBody[string]): string {
  return typeof value === "boolean" ? (value ? "True" : "False") : JSON.stringify(value);
}

function indent(text: string): string {
  return text.replaceAll("\n", "\n  ");
}
