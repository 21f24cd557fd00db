"""The service: what each path does, and what stands between it and the world."""

import asyncio
import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from convia import explain as why
from convia.errors import explain
from convia.report.html_inside import maps_png
from convia.report.markup import png_of, sized
from convia.serve import openapi, page
from convia.serve.batching import Batcher
from convia.serve.guard import Guard
from convia.serve.limits import Array, Classifier, Limits, Refused
from convia.serve.metrics import TYPE, Metrics
from convia.serve.uploads import contents, decode, quick, read

if TYPE_CHECKING:
    from fastapi import FastAPI

_SIDE = 320  # pixels of the pictures that explain
_MOST_MAPS = 64
_UNKNOWN_SIZE = 64  # pixels, where the model takes any
_THREADS = 2  # that read image files
_BODIES = 16  # requests of the largest size at once
_TOP = 5  # classes in an answer


class Service:
    """What the paths share: the model, the queue before it, the counts."""

    def __init__(self, classifier: Classifier, limits: Limits) -> None:
        self.classifier, self.limits, self.metrics = classifier, limits, Metrics()
        self.batcher = Batcher(classifier.predict, limits, self.metrics)
        self.readers = ThreadPoolExecutor(_THREADS, "convia-read")
        self.layers: list[str] = []
        self.names: list[str] = []
        self.is_ready = False
        self.arriving = 0  # bytes of requests that are read

    def warm_up(self) -> None:
        """Run everything once: the first client should not wait for what is done only once."""
        shape = self.input_shape
        image = np.zeros([size or _UNKNOWN_SIZE for size in shape[:2]] + [shape[2]], np.float32)
        self.names = self.classifier.names(len(self.classifier.predict([image])[0]))
        maps = why.feature_maps(self.classifier.model, image)
        self.layers = [path for path, values in maps.items() if values.ndim == 3]
        self.is_ready = True

    @property
    def input_shape(self) -> tuple[Any, Any, int]:
        """Height and width (None where any goes) and channels of the model's images."""
        height, width, channels = self.classifier.model.input_shape[1:]
        return height, width, channels

    @contextmanager
    def _announced(self, request: Any) -> Iterator[None]:
        """Count a request that is on its way.

        Raises:
            Refused: 503 where those on their way might fill the memory.
        """
        most = int(self.limits.megabytes * 1e6)
        declared = request.headers.get("content-length", "")
        size = min(int(declared[:18]), most) if declared.isdecimal() else most
        if self.arriving + size > _BODIES * most:
            expected = f"at most {_BODIES * self.limits.megabytes:g} MB at once"
            raise Refused(503, f"{self.arriving / 1e6:.0f} MB on their way", expected, "Try again later.")
        self.batcher.coming += 1
        self.arriving += size
        try:
            yield
        finally:
            self.batcher.coming -= 1
            self.arriving -= size

    async def images(self, request: Any) -> list[Array]:
        """Return the images of a request as the model takes them."""
        with self._announced(request):
            files = await contents(request, self.limits)
            if small := quick(files, self.limits):
                return read(small, self.classifier)
            loop = asyncio.get_running_loop()
            reading = loop.run_in_executor(self.readers, decode, files, self.classifier, self.limits)
            try:
                return await asyncio.wait_for(reading, self.limits.seconds)
            except TimeoutError:
                raise Refused(504, f"images not read within {self.limits.seconds:g} s", "smaller ones") from None

    async def image(self, request: Any) -> Array:
        """Return the only image of a request."""
        images = await self.images(request)
        if len(images) != 1:
            raise Refused(422, f"{len(images)} images", "one")
        return images[0]

    async def predict(self, request: Any, top: int = _TOP) -> dict[str, Any]:
        """Answer /predict."""
        rows = await self.batcher.predict(await self.images(request))
        return {"predictions": [self._told(row, top) for row in rows]}

    def _told(self, row: Array, top: int) -> dict[str, Any]:
        order = row.argsort()[::-1][: max(1, top)]
        found = zip(order.tolist(), row[order].tolist(), strict=True)
        classes = [{"class": self.names[i], "index": i, "probability": round(value, 6)} for i, value in found]
        return {**classes[0], "classes": classes}

    async def explain(self, request: Any, class_name: str | None, layer: str | None) -> dict[str, Any]:
        """Answer /explain."""
        self._check_layer(layer)
        if class_name is not None and class_name not in self.names:
            raise Refused(422, f"the class {class_name[:60]!r}", "one of those that GET /model names")
        image = await self.image(request)
        row = (await self.batcher.predict([image]))[0]
        index = int(row.argmax()) if class_name is None else self.names.index(class_name)
        model = self.classifier.model
        heat = await self._asked(lambda: why.grad_cam(model, image, index, layer))
        shown = sized(image, _SIDE)
        return {
            "class": self.names[index],
            "index": index,
            "probability": round(float(row[index]), 6),
            "layer": layer,
            "image": _text(png_of(shown)),
            "heat": _text(png_of(why.overlay(shown, heat, 1.0))),
        }

    async def maps(self, request: Any, layer: str) -> dict[str, Any]:
        """Answer /maps."""
        self._check_layer(layer)
        image = await self.image(request)
        found = await self._asked(lambda: why.feature_maps(self.classifier.model, image, [layer]))
        values = next(iter(found.values()))
        height, width, count = values.shape
        shown = min(count, _MOST_MAPS)
        drawn = _text(maps_png(values, _MOST_MAPS))
        return {"layer": layer, "count": count, "shown": shown, "height": height, "width": width, "maps": drawn}

    async def _asked(self, job: Callable[[], Any]) -> Any:
        try:
            return await self.batcher.run(job)
        except ValueError as error:  # of a network without feature maps, or an image that does not fit
            raise Refused(422, str(error), "a model that can be explained") from None

    def _check_layer(self, layer: str | None) -> None:
        if layer is not None and layer not in self.layers:
            raise Refused(422, f"the layer {layer[:60]!r}", "one of those that GET /model names")

    def about(self) -> dict[str, Any]:
        """Answer /model."""
        model = self.classifier.model
        return {
            "name": model.name,
            "classes": self.names,
            "input_shape": list(self.input_shape),
            "layers": self.layers,
            "parameters": model.count_params(),
        }

    def numbers(self) -> str:
        """Answer /metrics."""
        return self.metrics.text(queue_images=self.batcher.waiting, requests_in_progress=self.batcher.coming)

    async def close(self) -> None:
        """Answer what is waiting, and end."""
        self.is_ready = False
        await self.batcher.close()
        self.readers.shutdown(wait=False, cancel_futures=True)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def create_app(classifier: Classifier, limits: Limits | None = None, lang: str | None = None) -> Any:
    """Return a FastAPI application that serves a model.

    Args:
        classifier: the model, how its images are read, and the names of its classes.
        limits: what it takes on.
        lang: of the page, "en" or "es"; by default what the browser prefers.

    Raises:
        ImportError: FastAPI is not installed. ValueError: a language that is not spoken.
    """
    try:
        from fastapi import FastAPI
    except ImportError as error:
        remedy = "Install them: pip install 'convia[serve]'."
        raise ImportError(explain("convia serve", "no FastAPI", "FastAPI and Uvicorn", remedy)) from error

    page.check(lang)
    service = Service(classifier, limits or Limits())

    @asynccontextmanager
    async def life(_: Any) -> Any:
        service.warm_up()
        service.batcher.start()
        yield
        await service.close()

    title, about = "convia", "Classes of images, and why. The page for people is at /."
    app = FastAPI(title=title, description=about, lifespan=life, docs_url=None, redoc_url=None)
    _answer_posts(app, service)
    _answer_gets(app, service, lang)
    paths = frozenset(route.path for route in app.routes if hasattr(route, "path"))
    app.add_middleware(Guard, metrics=service.metrics, paths=paths, shortcuts={"/predict": service.predict})
    app.state.service = service
    return app


def _answer_posts(app: "FastAPI", service: Service) -> None:
    from fastapi import Query, Request
    from fastapi.responses import JSONResponse

    def posted(path: str, many: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        return app.post(path, responses=openapi.responses(path), openapi_extra=openapi.body(many), response_model=None)

    @posted("/predict", many=True)
    async def predict(request: Request, top: int = Query(_TOP, ge=1)) -> Any:
        """Return the likeliest classes of one or many images."""
        return JSONResponse(await service.predict(request, top))

    @posted("/explain")
    async def explain_image(
        request: Request, class_: str | None = Query(None, alias="class"), layer: str | None = None
    ) -> Any:
        """Return Grad-CAM of an image for a class, by default the likeliest."""
        return JSONResponse(await service.explain(request, class_, layer))

    @posted("/maps")
    async def maps(request: Request, layer: str) -> Any:
        """Return what a layer makes of an image."""
        return JSONResponse(await service.maps(request, layer))


def _answer_gets(app: "FastAPI", service: Service, lang: str | None) -> None:
    from fastapi import Query, Request
    from fastapi.responses import JSONResponse, Response

    @app.get("/model")
    async def model() -> Any:
        """Return classes, size of images and layers."""
        return JSONResponse(service.about())

    @app.get("/health")
    async def health() -> Any:
        """Return 200 when requests are answered, 503 before and after."""
        return JSONResponse({"status": "ok" if service.is_ready else "ending"}, 200 if service.is_ready else 503)

    @app.get("/metrics", responses=openapi.METRICS, response_class=Response)
    async def metrics() -> Any:
        """Return counts for Prometheus."""
        return Response(service.numbers(), media_type=TYPE)

    @app.get("/", include_in_schema=False)
    async def start(request: Request, lang_: str | None = Query(None, alias="lang")) -> Any:
        chosen = page.chosen(lang_, lang, request.headers.get("accept-language", ""))
        return Response(page.html(chosen), media_type="text/html; charset=utf-8")

    @app.get("/assets/{name}", include_in_schema=False)
    async def asset(name: str) -> Any:
        found = page.asset(name)
        return Response(found[0], media_type=found[1]) if found else JSONResponse({"error": "not found"}, 404)
