"""The service keeps to what its OpenAPI description says, whatever it is asked: schemathesis makes up the requests."""

import threading
import time

import hypothesis
import pytest

import convia as k
from convia.images.files import img_to_array, load_img
from convia.serve import Classifier, Limits, create_app

pytest.importorskip("fastapi", reason="the service needs FastAPI")
uvicorn = pytest.importorskip("uvicorn", reason="the service needs Uvicorn")
checks = pytest.importorskip("schemathesis.specs.openapi.checks", reason="the description is tested with schemathesis")
schemathesis = pytest.importorskip("schemathesis", reason="the description is tested with schemathesis")


@pytest.fixture(scope="module")
def description():
    layers = [k.Input((8, 8, 1)), k.layers.Conv2D(4, 3, name="first"), k.layers.Flatten(), k.layers.Dense(3)]
    model = k.Sequential([*layers, k.layers.Softmax()])
    reader = lambda file: img_to_array(load_img(file, "grayscale", (8, 8), "bilinear"))  # noqa: E731
    app = create_app(Classifier(model, reader, lambda count: ["cat", "dog", "bird"][:count]), Limits(seconds=10))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    server.should_exit = True
    thread.join(20)


PATHS = ["/predict", "/explain", "/maps", "/model", "/health", "/metrics"]


@pytest.mark.parametrize("path", PATHS)
def test_answers_are_as_described(description, path):
    operations = [found.ok() for found in description.get_all_operations()]
    assert {operation.path for operation in operations} == {*PATHS}
    (operation,) = (operation for operation in operations if operation.path == path)

    @hypothesis.given(case=operation.as_strategy())
    @hypothesis.settings(max_examples=20, deadline=None, suppress_health_check=[*hypothesis.HealthCheck], database=None)
    def ask(case):
        case.call_and_validate(excluded_checks=[checks.positive_data_acceptance])  # what it makes up are no images

    ask()
