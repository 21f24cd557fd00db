"""What a service counts, in the text format of Prometheus (version 0.0.4)."""

from bisect import bisect_left
from collections import Counter

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_IMAGES = (1, 2, 4, 8, 16, 32, 64)
TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Histogram:
    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds, self.counts, self.total = bounds, [0] * (len(bounds) + 1), 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str, help_text: str) -> list[str]:
        rows, count = [f"# HELP {name} {help_text}", f"# TYPE {name} histogram"], 0
        for bound, number in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            count += number
            rows.append(f'{name}_bucket{{le="{bound}"}} {count}')
        return [*rows, f"{name}_sum {self.total:.9g}", f"{name}_count {count}"]


class Metrics:
    """Requests by path and status, how long they took, and how many images went through the model together."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds, self._batches = _Histogram(_SECONDS), _Histogram(_IMAGES)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count an answer; ``path`` is one of the service's own, so that clients cannot make up rows."""
        self._requests[path, status] += 1
        self._seconds.add(seconds)

    def batch(self, images: int) -> None:
        """Count a batch."""
        self._batches.add(images)

    def text(self, **gauges: float) -> str:
        """Return everything; ``gauges`` are numbers of this moment, by name."""
        rows = ["# HELP convia_requests_total Requests answered.", "# TYPE convia_requests_total counter"]
        rows += [
            f'convia_requests_total{{path="{path}",status="{status}"}} {count}'
            for (path, status), count in sorted(self._requests.items())
        ]
        rows += self._seconds.lines("convia_request_seconds", "Time to answer a request.")
        rows += self._batches.lines("convia_batch_images", "Images that the model was given at once.")
        for name, value in gauges.items():
            rows += [f"# HELP convia_{name} At this moment.", f"# TYPE convia_{name} gauge", f"convia_{name} {value:g}"]
        return "\n".join(rows) + "\n"
