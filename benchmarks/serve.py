"""``convia serve`` against a loop that predicts request by request, both on FastAPI and Uvicorn with the same model.

16 clients send images (PNG, as the body) over connections that stay open, one request after the other. The loop may use
one thread or all, whichever is quicker. Printed are answers per second and the 99th percentile of their times (the best
of the rounds), the median and the range of their ratios, round by round, and what memory the service takes on.

    python benchmarks/serve.py            # both, and memory
    python benchmarks/serve.py --quick    # fewer requests, no memory
    python benchmarks/serve.py lenet      # of the networks only those

Quick: --quick digits
"""

import asyncio
import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
import uvloop
from PIL import Image

import convia as keras
from convia.applications import layers_of
from convia.images.files import img_to_array, load_img
from convia.serve import Classifier, create_app

CLIENTS, REQUESTS, ROUNDS, MANY = 16, 100, 5, 10_000
WAYS = ("convia", "loop, 1 thread", "loop, all threads")
SIZES = {"digits, 8×8": (8, "deep"), "lenet, 28×28": (28, "lenet"), "deep, 28×28": (28, "deep")}


def build(name):
    """A model, and how its images are read."""
    side, kind = SIZES[name]
    keras.utils.set_random_seed(0)
    shape = (side, side, 1)
    first = [keras.Input(shape), keras.layers.Rescaling(1 / 255)]
    model = keras.Sequential([*first, *layers_of(kind, shape, 10)])
    return model, lambda file: img_to_array(load_img(file, "grayscale", (side, side), "bilinear"))


def naive(model, read):
    """What one writes first: an image is read and predicted when it comes."""
    from fastapi import FastAPI, Request

    app = FastAPI()

    @app.post("/predict")
    async def predict(request: Request):
        image = read(io.BytesIO(await request.body()))
        row = model.predict(image[None], verbose=0)[0]
        order = row.argsort()[::-1][:5]
        return {"predictions": [{"class": str(i), "probability": float(row[i])} for i in order]}

    @app.get("/health")
    async def health():
        return {}

    return app


def listen(which, name, port):
    """Serve until killed: the process that is measured."""
    import uvicorn

    if which == "loop, 1 thread":  # quicker for small networks than all of them
        torch.set_num_threads(1)
    model, read = build(name)
    batched = Classifier(model, read, lambda count: [str(number) for number in range(count)])
    app = create_app(batched) if which == "convia" else naive(model, read)
    uvicorn.run(app, port=port, log_level="warning", access_log=False)


class Server:
    """A service in a process of its own."""

    def __init__(self, which, name):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen([sys.executable, __file__, "--listen", which, name, str(self.port)])

    def __enter__(self):
        for _ in range(600):
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    return self
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("the server does not answer")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    @property
    def megabytes(self):
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Client(asyncio.Protocol):
    """Sends one request after the other over one connection, with as little work as a client can have."""

    def __init__(self, request, count, times, done):
        self.request, self.left, self.times, self.done = request, count, times, done
        self.answer = b""

    def connection_made(self, transport):
        self.transport = transport
        self.send()

    def send(self):
        self.left -= 1
        self.began = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data):
        self.answer += data
        head, end, body = self.answer.partition(b"\r\n\r\n")
        if not end or len(body) < int(re.search(rb"(?i)content-length: *(\d+)", head)[1]):
            return
        assert head.startswith(b"HTTP/1.1 200"), self.answer
        self.times.append(time.perf_counter() - self.began)
        self.answer = b""
        if self.left:
            self.send()
        else:
            self.transport.close()

    def connection_lost(self, error):
        self.done.set_result(None)


async def clients(port, count, image, times):
    """Run all clients until they have sent so many requests each."""
    loop = asyncio.get_running_loop()
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(image)}\r\n\r\n"
    done = [loop.create_future() for _ in range(CLIENTS)]
    for one in done:
        await loop.create_connection(partial(Client, head.encode() + image, count, times, one), "127.0.0.1", port)
    await asyncio.gather(*done)


def load(port, requests, image):
    """Return answers per second and the 99th percentile in milliseconds."""
    times = []
    began = time.perf_counter()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(clients(port, requests, image, times))
    return len(times) / (time.perf_counter() - began), 1000 * float(np.percentile(times, 99))


def tell(name, rounds):
    """Print what was measured: (round, server, answers per second and 99th percentile)."""
    best = rounds[:, 1:, 0].max(0).argmax() + 1  # of both loops
    rates, tails = rounds[..., 0], rounds[..., 1]
    times = rates[:, 0] / rates[:, best]
    print(f"{name:14} convia {rates[:, 0].max():7,.0f}/s {tails[:, 0].min():6.1f} ms   {WAYS[best]} "
          f"{rates[:, best].max():6,.0f}/s {tails[:, best].min():6.1f} ms   "
          f"{np.median(times):.1f} × as many ({times.min():.1f} to {times.max():.1f}), "
          f"{np.median(tails[:, best] / tails[:, 0]):.1f} × shorter")  # fmt: skip


def main():
    quick = "--quick" in sys.argv
    requests = REQUESTS // 4 if quick else REQUESTS
    print(f"{CLIENTS} clients, best of {ROUNDS} rounds of {CLIENTS * requests} requests; answers/s and 99th percentile")
    wanted = [word for word in sys.argv[1:] if word[0] != "-"]
    for name, (side, _) in SIZES.items():
        if wanted and not any(word in name for word in wanted):
            continue
        content = io.BytesIO()
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (side, side), "uint8")).save(content, "png")
        image = content.getvalue()
        servers = [Server(which, name) for which in WAYS]
        with servers[0] as ours, servers[1], servers[2]:
            for server in servers:
                load(server.port, 10, image)
            rounds = np.array([[load(server.port, requests, image) for server in servers] for _ in range(ROUNDS)])
            tell(name, rounds)
            if not quick:
                before = ours.megabytes
                load(ours.port, MANY // CLIENTS, image)
                print(
                    f"{'':14} memory: {before:.0f} MB, {ours.megabytes - before:+.1f} MB after {MANY:,} more requests"
                )


if __name__ == "__main__":
    if "--listen" in sys.argv:
        listen(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
