"""``convia serve`` against a loop that predicts request by request, both on FastAPI and Uvicorn with the same model.

16 clients send images (PNG, as the body) over connections that stay open, one request after the other. Printed are
answers per second and the 99th percentile of their times, and how much memory the service takes on over 20 rounds.

    python benchmarks/serve.py            # both, and memory
    python benchmarks/serve.py --quick    # fewer requests, no memory
"""

import asyncio
import io
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import convia as keras
from convia.applications import layers_of
from convia.images.files import img_to_array, load_img
from convia.serve import Classifier, create_app

CLIENTS, REQUESTS, ROUNDS = 16, 100, 3
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

    torch.set_num_threads(max(1, (os.cpu_count() or 1) - 1))
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


async def client(port, requests, image, times):
    """Send one request after the other over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(image)}\r\n\r\n"
    for _ in range(requests):
        began = time.perf_counter()
        writer.write(head.encode() + image)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        length = int(next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length"))[15:])
        await reader.readexactly(length)
        times.append(time.perf_counter() - began)
    writer.close()


def load(port, requests, image):
    """Return answers per second and the 99th percentile in milliseconds."""
    times = []

    async def everybody():
        await asyncio.gather(*(client(port, requests, image, times) for _ in range(CLIENTS)))

    began = time.perf_counter()
    asyncio.run(everybody())
    return len(times) / (time.perf_counter() - began), 1000 * float(np.percentile(times, 99))


def main():
    quick = "--quick" in sys.argv
    requests = REQUESTS // 4 if quick else REQUESTS
    print(f"{CLIENTS} clients, best of {ROUNDS} rounds of {CLIENTS * requests} requests; answers/s and 99th percentile")
    for name, (side, _) in SIZES.items():
        content = io.BytesIO()
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (side, side), "uint8")).save(content, "png")
        image = content.getvalue()
        with Server("convia", name) as ours, Server("naive", name) as loop:
            for server in (ours, loop):
                load(server.port, 10, image)
            rounds = [(load(ours.port, requests, image), load(loop.port, requests, image)) for _ in range(ROUNDS)]
            rates, tails = ([[row[i][k] for row in rounds] for i in range(2)] for k in range(2))
            (fast, slow), (short, long) = map(max, rates), map(min, tails)
            print(f"{name:14} convia {fast:7,.0f}/s {short:6.1f} ms   loop {slow:6,.0f}/s {long:6.1f} ms   "
                  f"{fast / slow:.1f} × as many, {long / short:.1f} × shorter")  # fmt: skip
            if not quick:
                before = ours.megabytes
                for _ in range(20):
                    load(ours.port, requests // 4, image)
                more = 20 * (requests // 4) * CLIENTS
                print(
                    f"{'':14} memory: {before:.0f} MB, {ours.megabytes - before:+.1f} MB after {more:,} more requests"
                )


if __name__ == "__main__":
    if "--listen" in sys.argv:
        listen(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
