"""``convia serve``: a model over HTTP, and a page to try it out."""

import socket
from typing import Annotated, Any

import typer

from convia.cli.opened import ClassNames, ImageSize, ModelFile, Preprocess, Rescale, open_model
from convia.cli.reported import Debug, reported
from convia.errors import explain
from convia.serve import Classifier, Limits, create_app, protocol

EXAMPLES = """[bold]Examples[/bold]

convia serve runs/digits

convia serve model.keras --host 0.0.0.0 --port 80 --batch 64

curl -F image=@cat.jpg http://127.0.0.1:8000/predict


Needs FastAPI and Uvicorn: pip install 'convia\\[serve]'. Whoever reaches the address may use the service: it knows no
users, so that by default only this machine reaches it.


[bold]Exit codes[/bold]  130, 143: ended by Ctrl-C, by SIGTERM, after what was begun. 1: an error. 2: wrong usage.
"""


def serve_command(
    model: ModelFile,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.", min=0, max=65535)] = 8000,
    lang: Annotated[str | None, typer.Option(help="Of the page: en or es. By default the browser's.")] = None,
    batch: Annotated[int, typer.Option(help="Images that the model is given at once, at most.")] = Limits.batch,
    wait: Annotated[float, typer.Option(help="Milliseconds that a batch waits for images on their way.")] = Limits.wait,
    queue: Annotated[int, typer.Option(help="Images that may wait; others are refused (503).")] = Limits.queue,
    seconds: Annotated[float, typer.Option(help="Time for an answer (504).")] = Limits.seconds,
    megabytes: Annotated[float, typer.Option(help="Of a request (413).")] = Limits.megabytes,
    megapixels: Annotated[float, typer.Option(help="Of the images of a request (413).")] = Limits.megapixels,
    images: Annotated[int, typer.Option(help="Per request (413).")] = Limits.images,
    class_names: ClassNames = None,
    image_size: ImageSize = None,
    rescale: Rescale = None,
    preprocess: Preprocess = None,
    debug: Debug = False,
) -> None:
    """Serve a model over HTTP, with a page to try it out."""
    with reported(debug, "Stopped."):
        limits = Limits(megabytes, megapixels, images, queue, seconds, batch, wait)
        app = create_app(classifier(model, (class_names, image_size, rescale, preprocess)), limits, lang)
        listen(app, host, port, limits)


def classifier(model: str, options: tuple[Any, ...] = ()) -> Classifier:
    """Open a model for the service; see :func:`convia.cli.opened.open_model`."""
    opened = open_model(model, *options)
    return Classifier(opened.model, opened.read, opened.names)


def listen(app: Any, host: str, port: int, limits: Limits) -> None:
    """Answer until the process is told to end; what was begun is finished.

    Raises:
        ImportError: Uvicorn is not installed.
        OSError: nobody can listen at that address, or somebody else does.
    """
    try:
        import uvicorn
    except ImportError as error:
        remedy = "Install them: pip install 'convia[serve]'."
        raise ImportError(explain("convia serve", "no Uvicorn", "FastAPI and Uvicorn", remedy)) from error
    door = _bound(host, port)
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    typer.echo(f"http://{shown}:{door.getsockname()[1]}   (Ctrl-C ends)")
    ending = max(1, int(limits.seconds))
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False,
                            timeout_graceful_shutdown=ending, **protocol.settings(limits))  # fmt: skip
    uvicorn.Server(config).run(sockets=[door])


def _bound(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        received = f"{host}, port {port} ({error.strerror})"
        raise OSError(explain("convia serve", received, "an address to listen at", "Pass another --port.")) from error
