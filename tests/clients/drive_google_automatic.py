"""Drives google-genai's automatic function calling, whole and streamed, and its chats, and prints what it saw as JSON.

`python drive_google_automatic.py URL KEY MODEL`. Nothing but the SDK's variables is set.
"""

import asyncio
import json
import sys

from framework_tools import tools_of
from google import genai


def config(ran):
    return {"tools": tools_of(ran)}


def whole(client, model, ran):
    return client.models.generate_content(model=model, contents="Please do it.", config=config(ran)).text


def streamed(client, model, ran):
    pieces = client.models.generate_content_stream(model=model, contents="Please do it.", config=config(ran))
    return "".join(piece.text or "" for piece in pieces)


def chat(client, model, ran):
    return client.chats.create(model=model, config=config(ran)).send_message("Please do it.").text


def asynchronous(client, model, ran):
    return asyncio.run(client.aio.models.generate_content(model=model, contents="Please do it.", config=config(ran))).text


def main(url, key, model):
    loops = {}
    for name, play in {"whole": whole, "stream": streamed, "chat": chat, "async": asynchronous}.items():
        ran = []
        loops[name] = {"ran": ran, "text": play(genai.Client(), model, ran)}
    print(json.dumps({"loops": loops}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
