#!/usr/bin/env bash
# A tour of the API: calls every part of a running service with curl, prints what it does, and stops at the first
# unexpected response. Needs bash, curl and Node 20. It costs up to 88 credits.
#
#   GIH_URL=http://127.0.0.1:8787 GIH_KEY=gih_live_... docs/tour.sh
#
# GIH_WEBHOOK_URL is the URL of your receiver of webhooks. Without it, the webhook of the tour is sent to a host that does
# not exist, which shows how failed deliveries are listed.
set -euo pipefail

: "${GIH_URL:?Set GIH_URL to the URL that npm start printed.}"
: "${GIH_KEY:?Set GIH_KEY to the API key that npm start printed.}"
webhook_url=${GIH_WEBHOOK_URL:-https://receiver.invalid/hook}
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"

steps=0
step() {
  steps=$((steps + 1))
  printf '\n%d. %s\n' "$steps" "$1"
}

fail() {
  printf '\nUnexpected response: %s\n' "$1" >&2
  sed -n '/[^[:space:]]/p' headers >&2
  head -c 2000 body >&2
  printf '\n' >&2
  exit 1
}

# request "STATUS ..." METHOD PATH [option of curl]...: sends a request, and requires one of these statuses.
request() {
  local expected=$1 method=$2 url=$3
  shift 3
  case $url in /*) url=$GIH_URL$url ;; esac
  printf '   %s %s\n' "$method" "${url#"$GIH_URL"}"
  status=$(curl -sS --max-time 120 -X "$method" "$url" -D headers -o body -w '%{http_code}' "$@")
  printf '   -> %s\n' "$status"
  case " $expected " in *" $status "*) ;; *) fail "status $status instead of $expected" ;; esac
}

# The same with the API key; and with JSON as the body.
call() { request "$@" -H "Authorization: Bearer $GIH_KEY"; }
send() {
  local json=$4
  set -- "$1" "$2" "$3" "${@:5}"
  call "$@" -H 'Content-Type: application/json' -d "$json"
}

# value PATH: a value of the last response, such as images.0.url, cut to 200 characters; empty when it is not there.
value() {
  node -e '
    let at = JSON.parse(require("node:fs").readFileSync("body", "utf8"));
    for (const name of process.argv[1].split(".")) at = at?.[name];
    console.log((typeof at === "object" ? JSON.stringify(at) : String(at ?? "")).slice(0, 200));
  ' "$1"
}

# expect PATH PATTERN: prints a value of the last response, and requires that it matches.
expect() {
  local found
  found=$(value "$1")
  printf '      %s: %s\n' "$1" "$(printf '%s' "$found" | cut -c 1-100)"
  [[ $found =~ ^($2)$ ]] || fail "$1 is \"$found\" instead of $2"
}

# expect_header NAME PATTERN: the same for a header.
expect_header() {
  local found
  found=$(tr -d '\r' <headers | awk -v name="$1:" 'tolower($1) == tolower(name) { sub(/^[^:]*: */, ""); print }')
  printf '      %s: %s\n' "$1" "$found"
  [[ $found =~ ^($2)$ ]] || fail "$1 is \"$found\" instead of $2"
}

native=/api/v1/images/generations
openai=/openai/v1
lighthouse='"model": "gpt-image-2", "prompt": "a lighthouse at dusk", "size": "1024x1024"'
harbour='"model": "gpt-image-2", "prompt": "a harbour at dawn", "size": "1024x1024"'

step 'The service is healthy, and describes itself'
request 200 GET /api/health
expect status ok
request 200 GET /openapi.json
expect openapi '3\.1\..*'

step 'Models and prices, which need no key'
request 200 GET /api/v1/models
expect data.0.id gpt-image-2
expect data.0.credits '.*"1K":8.*'

step 'Your balance'
call 200 GET /api/v1/credits
expect credits '[0-9]+'
before=$(value credits)

step 'Generate an image, and wait for it'
send 200 POST "$native" "{ $lighthouse }"
expect status succeeded
expect usage.credits 8
expect images.0.url 'http.*'
first=$(value id)
image_url=$(value images.0.url)
image_type=$(value images.0.content_type)
request 200 GET "$image_url"
cp body lighthouse.image
expect_header Content-Type "$image_type"

step 'Generate asynchronously: a 202 at once, then wait for the end with Prefer'
send 202 POST "$native" "{ $harbour, \"async\": true }"
expect status queued
expect_header Location 'http.*'
poll_url=$(value poll_url)
for _ in 1 2 3 4 5; do
  call 200 GET "$poll_url" -H 'Prefer: wait=30'
  case $(value status) in queued | processing) ;; *) break ;; esac
done
expect status succeeded
expect_header Preference-Applied 'wait=30'
second=$(value id)

step 'Follow a generation as a stream of events'
send 202 POST "$native" "{ $harbour }" -H 'Prefer: respond-async'
call 200 GET "/api/v1/generations/$(value id)/events" -N -H 'Accept: text/event-stream'
expect_header Content-Type 'text/event-stream.*'
sed -n 's/^id: /      event: /p' body
[[ $(sed -n 's/^id: //p' body | tail -n 1) == succeeded ]] || fail 'the last event is not succeeded'

step 'Retry safely: the same Idempotency-Key is one generation, and one charge'
key="tour-$first"
send 200 POST "$native" "{ $lighthouse }" -H "Idempotency-Key: $key"
once=$(value id)
send 200 POST "$native" "{ $lighthouse }" -H "Idempotency-Key: $key"
expect id "$once"
expect_header Idempotent-Replayed true
send 422 POST "$native" "{ $harbour }" -H "Idempotency-Key: $key"
expect error.code idempotencyMismatch
call 200 GET "/api/v1/generations?idempotency_key=$key"
expect data.0.id "$once"

step 'Edit an image: a form with a reference image'
call 200 POST "$native" -F model=gpt-image-2 -F 'prompt=the same in winter' -F size=1024x1024 \
  -F reference_image=@lighthouse.image
expect status succeeded

step 'Reference images: uploaded ahead, and as a data URL'
call 201 POST /api/v1/references -H "Content-Type: $image_type" --data-binary @lighthouse.image
expect id 'ref_.*'
reference=$(value id)
printf '{ %s, "reference_images": ["%s", "data:%s;base64,%s"] }' \
  "$lighthouse" "$reference" "$image_type" "$(base64 <lighthouse.image | tr -d '\n')" >request.json
call 200 POST "$native" -H 'Content-Type: application/json' -d @request.json
expect status succeeded
call 204 DELETE "/api/v1/references/$reference"
send 400 POST "$native" "{ $lighthouse, \"reference_images\": [\"$reference\"] }"
expect error.param 'reference_images\[0\]'

step 'A reference image by URL, which the service fetches before it charges'
send '200 400' POST "$native" "{ $lighthouse, \"reference_images\": [\"$image_url\"] }"
if [[ $status == 200 ]]; then
  expect status succeeded
else
  expect error.param 'reference_images\[0\]'
  echo '   Only public https URLs are fetched. To try it locally: ALLOW_INSECURE_URLS=true npm start'
fi

step 'Cancel a generation, which is possible until it begins'
send 202 POST "$native" "{ $harbour, \"async\": true }"
id=$(value id)
call '200 409' POST "/api/v1/generations/$id/cancel"
if [[ $status == 200 ]]; then
  expect status canceled
  expect usage.credits_refunded 8
else
  expect error.code notCancelable
  echo '   It had begun already, so it is not refunded.'
  call 200 GET "/api/v1/generations/$id" -H 'Prefer: wait=60'
  expect status succeeded
fi

step 'Webhooks: signed, delivered when a generation ends, and listed'
call 200 GET /api/v1/webhooks/secret
expect object webhook_secret
send 202 POST "$native" "{ $harbour, \"async\": true, \"webhook_url\": \"$webhook_url\" }"
id=$(value id)
call 200 GET "/api/v1/generations/$id" -H 'Prefer: wait=60'
expect status succeeded
for _ in 1 2 3 4 5 6 7 8 9 10; do
  call 200 GET "/api/v1/generations/$id/deliveries"
  [[ $(value data) != '[]' ]] && break
  sleep 2
done
expect data.0.type generation.succeeded
expect data.0.attempt '[0-9]+'
if [[ -n ${GIH_WEBHOOK_URL:-} ]]; then
  expect data.0.response_status '2..'
else
  expect data.0.error 'connection_failed|timeout'
  expect data.0.next_attempt_at '20.*'
fi
call 202 POST "/api/v1/generations/$id/deliveries"
expect object list

step 'List generations, newest first, page by page'
call 200 GET '/api/v1/generations?limit=2&status=succeeded'
expect has_more true
expect data.1.id 'gen_.*'
call 200 GET "/api/v1/generations?limit=2&status=succeeded&cursor=$(value next_cursor)"
expect data.0.id 'gen_.*'
call 200 GET "/api/v1/generations/$second"
expect id "$second"

step 'OpenAI SDKs: the same service at another base URL'
call 200 GET "$openai/models"
expect object list
send 200 POST "$openai/images/generations" "{ $lighthouse }"
expect data.0.b64_json '[A-Za-z0-9+/]+'
call 200 POST "$openai/images/edits" -F model=gpt-image-2 -F 'prompt=the same at night' -F size=1024x1024 \
  -F response_format=url -F image=@lighthouse.image
expect data.0.url 'http.*'
send 400 POST "$openai/images/generations" '{ "model": "gpt-image-2" }'
expect error.type invalid_request_error

step 'Errors name the field, cost nothing, and have a request id'
send 400 POST "$native" '{ "model": "gpt-image-2", "prompt": "a lighthouse", "size": "1000x1000" }'
expect error.code invalid_request
expect error.param size
expect error.message '.*1008x1008.*'
expect error.request_id 'req_.*'
send 400 POST "$native" "{ $lighthouse, \"colour\": \"red\" }"
expect error.param colour
request 401 GET /api/v1/credits -H 'Authorization: Bearer gih_live_mistyped'
expect error.code invalidApiKey
call 404 GET /api/v1/generations/gen_00000000000000000000000000
expect error.code notFound
call 405 DELETE /api/v1/credits
expect_header Allow '.*GET.*'
call 409 POST "/api/v1/generations/$first/deliveries"
expect error.code conflict

step 'The ledger: every charge and refund, and what is left of each grant'
call 200 GET /api/v1/credits
after=$(value credits)
call 200 GET '/api/v1/credits/entries?limit=3'
expect data.0.kind 'charge|refund'
expect data.0.balance_after "$after"
call 200 GET /api/v1/credits/grants
expect data.0.remaining '[0-9]+'

printf '\nDone: %d steps as expected, for %d credits. %d credits are left.\n' "$steps" $((before - after)) "$after"
