import base64
import os

import openai

client = openai.OpenAI(api_key=os.environ["GIH_KEY"], base_url=os.environ["GIH_URL"] + "/openai/v1")
asked = {"model": "gpt-image-2", "prompt": "a lighthouse at dusk"}

png = base64.b64decode(client.images.generate(**asked).data[0].b64_json)
assert png.startswith(b"\x89PNG")

image = [("a.png", png, "image/png"), ("b.png", png, "image/png")]
edited = client.images.edit(**asked, image=image).data[0].b64_json
assert base64.b64decode(edited).startswith(b"\x89PNG")

assert any(model.id == "gpt-image-2" for model in client.models.list())

try:
    client.images.generate(**{**asked, "model": "dall-e-3"})
except openai.NotFoundError as error:
    assert error.code == "model_not_found"
else:
    raise AssertionError("no error")
