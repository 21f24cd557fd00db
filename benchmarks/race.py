"""Contenders that take turns: each is a process of its own that has one piece of work ready and does it on demand."""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

LEAST = 1.0  # seconds that the runs of a round take together


class Work(NamedTuple):
    """What a run does, in words, and how many steps that are: times are of one."""

    title: str
    steps: int = 1


Make = Callable[[str, str], Callable[[], Any]]  # (contender, work) → what does it, after a first time
Able = Callable[[str], tuple[str, ...]]  # work → those who can do it


def obey(run: Callable[[], Any]) -> None:
    """Measure at every line of standard input; write the seconds of a run, the least of some, and the peak memory."""
    print(json.dumps({}), flush=True)
    for _ in sys.stdin:
        times: list[float] = []
        while sum(times) < LEAST or len(times) < 2:  # the first may find its memory paged out
            start = perf_counter()
            run()
            times.append(perf_counter() - start)
            if times[0] > 10 * LEAST:
                break
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": min(times), "memory": megabytes}), flush=True)


class Contender:
    """A process of ``script`` that has one piece of work ready."""

    def __init__(self, script: str, name: str, work: str, python: str) -> None:
        command = [python, script, work, "--contenders", name, "--obey"]
        self._name = name
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith("{"):  # libraries have their own things to say
                answer: dict[str, float] = json.loads(line)
                return answer
        raise SystemExit(f"a contender has ended: {self._name}")

    def run(self) -> dict[str, float]:
        """Return how long a run takes, and the most memory that the process has had, in MB."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        return self._answer()

    def quit(self) -> None:
        """End the process."""
        self._process.communicate()


def race(script: str, work: str, pythons: dict[str, str], rounds: int) -> dict[str, list[dict[str, float]]]:
    """Return contender → what it answers in each round."""
    contenders = {name: Contender(script, name, work, python) for name, python in pythons.items()}
    answers: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            answers[name].append(contender.run())
    for contender in contenders.values():
        contender.quit()
    return answers


def report(work: Work, answers: dict[str, list[dict[str, float]]]) -> None:
    """Print times and memory, and their ratios to convia's."""
    print(work.title)
    medians = {name: statistics.median(each["seconds"] for each in some) for name, some in answers.items()}
    memory = {name: max(each["memory"] for each in some) for name, some in answers.items()}
    unit, factor = ("s", 1.0) if max(medians.values()) > work.steps / 10 else ("ms", 1e3)
    for name, some in answers.items():
        times = [each["seconds"] / work.steps * factor for each in some]
        median, spread = statistics.median(times), f"({min(times):.4f} to {max(times):.4f})"
        ratio = f"   {medians[name] / medians['convia']:6.2f} ×" if "convia" in medians else ""
        print(f"  {name:14s} {median:9.4f} {unit}  {spread:24s}{ratio}   {memory[name]:6.0f} MB", flush=True)
    peers = [name for name in medians if not name.startswith("convia")]
    if "convia" in medians and peers:
        best, largest = min(peers, key=medians.__getitem__), memory.get("tensorflow")
        compared = f"; TensorFlow takes {largest / memory['convia']:.1f} × the memory" if largest else ""
        print(f"  → {medians[best] / medians['convia']:.2f} × the time for the best peer, {best}{compared}", flush=True)


def compare(script: str, options: argparse.Namespace, works: dict[str, Work], able: Able) -> None:
    """Measure every work asked for, and print."""
    for work in options.works:
        pythons = dict.fromkeys(able(work), sys.executable) | {"tensorflow": options.tensorflow}
        names = [name for name in options.contenders or able(work) if name in able(work) and pythons[name]]
        known = json.loads(options.times.read_text()) if options.times and options.times.exists() else {}
        for name, answers in race(script, work, {name: pythons[name] for name in names}, options.rounds).items():
            known.setdefault(work, {}).setdefault(name, []).extend(answers)
        if options.times:
            options.times.write_text(json.dumps(known, indent=1) + "\n")
        report(works[work], known[work])


def main(script: str, about: str, works: dict[str, Work], make: Make, able: Able) -> argparse.Namespace:
    """Read the arguments; measure, or be measured."""
    contenders = sorted({name for work in works for name in able(work)})
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("works", nargs="*", metavar="WORK", help=" ".join(works))
    parser.add_argument("--contenders", nargs="+", choices=contenders)
    found = os.environ.get("CONVIA_TENSORFLOW")
    parser.add_argument("--tensorflow", metavar="PYTHON", default=found, help="an interpreter that has TensorFlow")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--times", type=Path, metavar="FILE", help="times are added to those in this file")
    parser.add_argument("--obey", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.works = options.works or list(works)
    if unknown := sorted({*options.works} - {*works}):
        parser.error(f"no such work: {' '.join(unknown)}")
    if options.obey:
        obey(make(options.contenders[0], options.works[0]))
    else:
        compare(script, options, works, able)
    return options
