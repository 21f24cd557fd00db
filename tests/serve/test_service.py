"""The service answers what it should, refuses what it must, and outlives both."""

import asyncio
import base64
import io
import json
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import convia as k
from convia.images.files import img_to_array, load_img
from convia.serve import Classifier, Limits, Refused, create_app
from convia.texts import LANGUAGES

pytest.importorskip("fastapi", reason="the service needs FastAPI")
pytest.importorskip("httpx", reason="the service's test client needs httpx")
pytest.importorskip("python_multipart", reason="the service needs python-multipart")
from fastapi.testclient import TestClient
from starlette.requests import ClientDisconnect

from convia.serve import uploads
from convia.serve.uploads import contents

NAMES = ["cat", "dog", '<img src=x onerror="x">']
LIMITS = Limits(megabytes=0.2, megapixels=0.5, images=4, seconds=10)


def read(file):
    return img_to_array(load_img(file, "grayscale", (8, 8), "bilinear"))


@pytest.fixture(scope="module")
def model():
    k.utils.set_random_seed(0)
    return k.Sequential(
        [
            k.Input((8, 8, 1)),
            k.layers.Rescaling(1 / 255),
            k.layers.Conv2D(4, 3, activation="relu", name="first"),
            k.layers.Flatten(),
            k.layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.fixture(scope="module")
def client(model):
    with TestClient(create_app(Classifier(model, read, lambda count: NAMES[:count]), LIMITS)) as client:
        yield client


def picture(seed=0, kind="PNG", size=(8, 8)):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3)).astype("uint8")
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


def expected(model, content):
    return model.predict(read(Image.open(io.BytesIO(content)))[None], verbose=0)[0]


def coded(content):
    return base64.b64encode(content).decode()


WAYS = {
    "form": lambda found: {"files": [("image", ("x.png", one, "image/png")) for one in found]},
    "json": lambda found: {"json": {"images": [coded(one) for one in found]}},
    "data": lambda found: {"json": {"images": ["data:image/png;base64," + coded(one) for one in found]}},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("count", [1, 3])
def test_predictions_are_the_models(client, model, way, count):
    found = [picture(number) for number in range(count)]
    answer = client.post("/predict?top=3", **WAYS[way](found))
    assert answer.status_code == 200, answer.text
    rows = answer.json()["predictions"]
    assert len(rows) == count
    for row, content in zip(rows, found, strict=True):
        probabilities = expected(model, content)
        assert [one["class"] for one in row["classes"]] == [NAMES[i] for i in probabilities.argsort()[::-1]]
        np.testing.assert_allclose(
            [one["probability"] for one in row["classes"]], np.sort(probabilities)[::-1], atol=2e-6
        )
        assert row["class"] == row["classes"][0]["class"] and row["index"] == probabilities.argmax()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("header", ["image/png", "application/octet-stream", "image/anything; x=y"])
def test_an_image_as_the_body(client, model, kind, header):
    content = picture(1, kind)
    answer = client.post("/predict", content=content, headers={"content-type": header})
    assert answer.json()["predictions"][0]["index"] == expected(model, content).argmax()


@pytest.mark.parametrize(("size", "quick"), [((8, 8), True), ((200, 200), False)])
def test_only_large_images_are_read_in_a_thread_of_their_own(client, model, size, quick, monkeypatch):
    content = picture(size=size)
    assert bool(uploads.quick([content], Limits())) is quick
    seen = []
    monkeypatch.setattr("convia.serve.app.decode", lambda *given: (seen.append(len(given)), uploads.decode(*given))[1])
    answer = client.post("/predict", content=content, headers={"content-type": "image/png"}).json()
    assert answer["predictions"][0]["index"] == expected(model, content).argmax()
    assert bool(seen) is not quick


def test_many_small_images_are_not_quick(monkeypatch):
    assert not uploads.quick([picture(number, size=(64, 64)) for number in range(9)], Limits())
    with pytest.raises(Refused, match="megapixels"):
        uploads.quick([picture(size=(64, 64))], Limits(megapixels=0.001))


def test_one_image_in_json(client):
    assert len(client.post("/predict", json={"image": coded(picture())}).json()["predictions"]) == 1


def test_explanations(client, model):
    content = picture(2)
    found = client.post("/explain", **WAYS["form"]([content])).json()
    assert found["index"] == expected(model, content).argmax() and found["layer"] is None
    other = client.post("/explain", params={"class": "cat", "layer": "first"}, **WAYS["form"]([content])).json()
    assert (other["class"], other["layer"]) == ("cat", "first")
    assert other["probability"] == pytest.approx(expected(model, content)[0], abs=2e-6)
    for key in ("image", "heat"):
        assert Image.open(io.BytesIO(base64.b64decode(other[key]))).size == (320, 320)


def test_maps(client):
    found = client.post("/maps?layer=first", **WAYS["form"]([picture()])).json()
    assert [found[key] for key in ("layer", "count", "shown", "height", "width")] == ["first", 4, 4, 6, 6]
    assert base64.b64decode(found["maps"])[:4] == b"\x89PNG"


def test_what_it_says_of_itself(client):
    about = client.get("/model").json()
    assert about["classes"] == NAMES and about["layers"] == ["rescaling", "first"] and about["input_shape"] == [8, 8, 1]
    assert client.get("/health").json() == {"status": "ok"}
    described = client.get("/openapi.json").json()
    assert {"/predict", "/explain", "/maps", "/model", "/health", "/metrics"} <= described["paths"].keys()
    post = described["paths"]["/predict"]["post"]
    assert {"200", "413", "415", "422", "503", "504"} <= post["responses"].keys()
    assert "multipart/form-data" in post["requestBody"]["content"]
    for path in ("/docs", "/redoc"):  # they would load scripts from elsewhere
        assert client.get(path).status_code == 404


def test_metrics(client):
    before = client.get("/metrics").text
    client.post("/predict", **WAYS["form"]([picture()]))
    client.get("/made-up-by-a-client")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    numbers = [
        dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#") for text in (before, answer.text)
    ]
    row = 'convia_requests_total{path="/predict",status="200"}'
    assert int(numbers[1][row]) == int(numbers[0].get(row, 0)) + 1
    assert 'convia_requests_total{path="other",status="404"}' in numbers[1] and "made-up" not in answer.text
    buckets = [int(v) for key, v in numbers[1].items() if key.startswith("convia_request_seconds_bucket")]
    assert buckets == sorted(buckets) and buckets[-1] == int(numbers[1]["convia_request_seconds_count"])
    assert float(numbers[1]["convia_queue_images"]) == 0


# -- what must be refused -----------------------------------------------------------------------------------------------


def bomb(width=60_000, height=60_000):
    """A PNG file of a few bytes that announces many pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rest = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + rest


def form(*contents):
    return WAYS["form"](contents)


def plain(content, kind):
    return {"content": content, "headers": {"content-type": kind}}


HOSTILE = {
    "cut short": (422, form(picture(size=(64, 64))[:500])),
    "cut in its header": (415, form(picture()[:20])),
    "a cut JPEG": (422, form(picture(kind="JPEG", size=(64, 64))[:700])),
    "empty file": (415, form(b"")),
    "text": (415, form(b"hello" * 100)),
    "SVG": (415, form(b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>')),
    "PostScript": (415, form(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n")),
    "bomb": (413, form(bomb())),
    "bomb below Pillow's own limit": (413, form(bomb(1000, 1000))),
    "many that are too much together": (413, form(*[picture(size=(400, 400), kind="GIF")] * 2, bomb(600, 600))),
    "too many images": (413, form(*[picture()] * 5)),
    "one good, one bad": (415, form(picture(), b"no image")),
    "huge body": (413, plain(b"\0" * 300_000, "image/png")),
    "other type": (415, plain(b"x", "text/plain")),
    "no type": (415, {"content": b"x"}),
    "empty body": (422, plain(b"", "image/png")),
    "no JSON": (422, plain(b"{", "application/json")),
    "deep JSON": (422, plain(b"[" * 100_000, "application/json")),
    "other JSON": (422, {"json": {"images": 3}}),
    "JSON list": (422, {"json": [1]}),
    "numbers for images": (422, {"json": {"images": [1, 2]}}),
    "an address": (422, {"json": {"image": "http://169.254.169.254/latest/meta-data"}}),
    "a path": (422, {"json": {"image": "file:///etc/passwd"}}),
    "no images": (422, {"json": {"images": []}}),
    "form without boundary": (422, plain(b"--x\r\n\r\n", "multipart/form-data")),
    "broken form": (422, plain(b"garbage", "multipart/form-data; boundary=x")),
    "form without files": (422, plain(b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n', "multipart/form-data; boundary=x")),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_uploads(client, case):
    status, request = HOSTILE[case]
    answer = client.post("/predict", **request)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"} and "request: received" in answer.json()["error"]
    assert client.post("/predict", **form(picture())).status_code == 200


def test_a_body_without_a_length_is_cut_off(client):
    pieces = 0

    def stream():
        nonlocal pieces
        for _ in range(100):
            pieces += 1
            yield b"\0" * 10_000

    answer = client.post("/predict", content=stream(), headers={"content-type": "image/png"})
    assert answer.status_code == 413 and "0.2 MB" in answer.json()["error"]


def test_a_client_that_goes_away():
    class Gone:
        headers = {"content-type": "image/png"}  # noqa: RUF012

        async def stream(self):
            yield b"some"
            raise ClientDisconnect

    with pytest.raises(Refused, match="a connection that ended too early") as refused:
        asyncio.run(contents(Gone(), LIMITS))
    assert refused.value.status == 400


def test_requests_that_would_fill_the_memory(client):
    service = client.app.state.service
    service.arriving = 3_199_000  # of 16 · 0.2 MB
    answer = client.post("/predict", **plain(picture(size=(30, 30)), "image/png"))
    service.arriving = 0
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
    assert "3 MB on their way" in answer.json()["error"]
    assert client.post("/predict", **form(picture())).status_code == 200 and service.arriving == 0


@pytest.mark.parametrize("garbage", range(8))
def test_damaged_files(client, garbage):
    """Bytes changed at random: an image is classified or refused, never more."""
    random = np.random.default_rng(garbage)
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP"):
        content = bytearray(picture(garbage, kind, (24, 24)))
        for place in random.integers(0, len(content), 12):
            content[place] = random.integers(0, 256)
        assert client.post("/predict", **form(bytes(content))).status_code in (200, 413, 415, 422)
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/explain?class=bird", 422),
        ("/explain?layer=nothing", 422),
        ("/explain?layer=dense", 422),
        ("/maps", 422),
        ("/maps?layer=__class__", 422),
        ("/predict?top=0", 422),
        ("/predict?top=x", 422),
        ("/assets/page.css", 405),
    ],
)
def test_wrong_questions(client, address, status):
    assert client.post(address, **form(picture())).status_code == status
    assert client.post("/explain", **form(picture(), picture())).status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../app.py",
        "/assets/%2e%2e/app.py",
        "/assets/..%2f..%2fapp.py",
        "/assets/page.html",
        "/assets//etc/passwd",
    ],
)
def test_no_path_leads_out(client, path):
    answer = client.get(path)
    assert answer.status_code == 404 and "def " not in answer.text


# -- the page -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGUAGES)
def test_page(client, lang):
    answer = client.get("/", params={"lang": lang})
    assert f'<html lang="{lang}">' in answer.text and "{{" not in answer.text
    assert "http" not in answer.text.replace("hreflang", "")  # nothing comes from elsewhere
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript")):
        asset = client.get(f"/assets/{name}")
        assert asset.status_code == 200 and asset.headers["content-type"].startswith(kind)
        assert f"/assets/{name}" in answer.text and "http" not in asset.text and "innerHTML" not in asset.text


@pytest.mark.parametrize(
    ("address", "accepted", "lang"),
    [
        ("/", "es-MX,es;q=0.9,en;q=0.8", "es"),
        ("/", "de, en;q=0.5", "en"),
        ("/", "", "en"),
        ("/?lang=es", "en", "es"),
        ("/?lang=%3Cscript%3E", "es", "es"),
    ],
)
def test_language_of_the_page(client, address, accepted, lang):
    assert f'<html lang="{lang}">' in client.get(address, headers={"accept-language": accepted}).text


def test_an_unknown_language_is_refused(model):
    with pytest.raises(ValueError, match="--lang: received 'xx'"):
        create_app(Classifier(model, read, lambda count: NAMES), lang="xx")


def test_many_clients_at_once(client, model):
    found = [picture(number) for number in range(32)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda one: client.post("/predict", **form(one)).json(), found))
    assert [a["predictions"][0]["index"] for a in answers] == [expected(model, one).argmax() for one in found]


# -- limits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["megabytes", "megapixels", "images", "queue", "seconds", "batch", "wait"])
def test_senseless_limits(name):
    with pytest.raises(ValueError, match=f"Limits, argument '{name}': received -1; expected a number above 0"):
        Limits(**{name: -1})


def test_one_output_is_two_classes():
    model = k.Sequential([k.Input((2, 2, 1)), k.layers.Flatten(), k.layers.Dense(1, activation="sigmoid")])
    images = [np.random.default_rng(n).random((2, 2, 1)).astype("float32") for n in range(3)]
    rows = Classifier(model, read, lambda count: NAMES).predict(images)
    second = model.predict(np.stack(images), verbose=0)[:, 0]
    np.testing.assert_allclose(rows, np.stack([1 - second, second], 1), atol=1e-6)


def test_errors_are_json():
    assert json.loads(json.dumps({"error": Refused(413, "a", "b").message})) == {
        "error": "request: received a; expected b."
    }
