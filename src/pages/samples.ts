/** The body of a request in the code samples. */
export type SampleBody = Readonly<Record<string, string | number | boolean>>;

const KEY = "YOUR_API_KEY";

/** The request as a curl command. */
export function curlSample(origin: string, body: SampleBody): string {
  const json = indent(JSON.stringify(body, null, 2)).replaceAll("'", `'\\''`);
  return `curl ${origin}/api/v1/images/generations \\
  -H "Authorization: Bearer ${KEY}" \\
  -H "Content-Type: application/json" \\
  -d '${json}'`;
}

export function javascriptSample(origin: string, body: SampleBody): string {
  return `const response = await fetch("${origin}/api/v1/images/generations", {
  method: "POST",
  headers: {
    "Authorization": "Bearer ${KEY}",
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
from urllib.error import HTTPError
from urllib.request import Request, urlopen

body = {
${fields.join("\n")}
}
request = Request(
    "${origin}/api/v1/images/generations",
    data=json.dumps(body).encode(),
    headers={
        "Authorization": "Bearer ${KEY}",
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

/** Strings and numbers are the same in JSON and Python; booleans differ. */
function pythonValue(value: string | number | boolean): string {
  return typeof value === "boolean" ? (value ? "True" : "False") : JSON.stringify(value);
}

function indent(text: string): string {
  return text.replaceAll("\n", "\n  ");
}
