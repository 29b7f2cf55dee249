"""Talks to the agent with requests and websockets, and prints what it saw."""

import asyncio
import json
import sys

import requests
import websockets

agent, echo = sys.argv[1], sys.argv[2]
invocations = f"{agent}/invocations"


def answer(response):
    return {"status": response.status_code, "json": response.json()}


def stream():
    asked = {"action": "stream", "seconds": 1}
    with requests.post(invocations, json=asked, stream=True, timeout=20) as response:
        assert response.headers["content-type"] == "text/event-stream"
        lines = response.iter_lines(decode_unicode=True)
        data = [line[len("data: "):] for line in lines if line.startswith("data: ")]
    return [json.loads(item) for item in data]


async def websocket():
    async with websockets.connect(echo) as socket:
        await socket.send("höre")
        text = await asyncio.wait_for(socket.recv(), 20)
        await socket.send(bytes([0, 1, 255]))
        binary = await asyncio.wait_for(socket.recv(), 20)
    return [text, list(binary)]


seen = {
    "ping": answer(requests.get(f"{agent}/ping", timeout=20)),
    "invocation": answer(
        requests.post(invocations, json={"action": "cleanup", "seconds": 0}, timeout=20)
    ),
    "stream": stream(),
    "not_json": answer(requests.post(invocations, data="{", timeout=20)),
    "not_found": answer(requests.get(f"{agent}/nothing", timeout=20)),
    "echo": asyncio.run(websocket()),
}
print(json.dumps(seen))
