"""Contenders that take turns: each is a process of its own that has one piece of work ready and does it on demand."""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

LEAST = 1.0  # seconds that the runs of a round take together

Make = Callable[[str, str], Callable[[], Any]]  # (contender, work) → what does it, after a first time
Able = Callable[[str], tuple[str, ...]]  # work → those who can do it


def obey(run: Callable[[], Any]) -> None:
    """Measure at every line of standard input, and write the seconds of one run: the least of some."""
    print(json.dumps("ready"), flush=True)
    for _ in sys.stdin:
        times: list[float] = []
        while sum(times) < LEAST or len(times) < 2:  # the first may find its memory paged out
            start = perf_counter()
            run()
            times.append(perf_counter() - start)
            if times[0] > 10 * LEAST:
                break
        print(json.dumps(min(times)), flush=True)


class Contender:
    """A process of ``script`` that has one piece of work ready."""

    def __init__(self, script: str, name: str, work: str, python: str) -> None:
        command = [python, script, work, "--contenders", name, "--obey"]
        self._name = name
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line[0] in '"0123456789':  # libraries have their own things to say
                return json.loads(line)
        raise SystemExit(f"a contender has ended: {self._name}")

    def seconds(self) -> float:
        """Return how long a run takes."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        return float(self._answer())

    def quit(self) -> None:
        """End the process."""
        self._process.communicate()


def race(script: str, work: str, pythons: dict[str, str], rounds: int) -> dict[str, list[float]]:
    """Return contender → seconds in each round."""
    contenders = {name: Contender(script, name, work, python) for name, python in pythons.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            times[name].append(contender.seconds())
    for contender in contenders.values():
        contender.quit()
    return times


def report(title: str, times: dict[str, list[float]]) -> None:
    """Print times, and ratios to convia's."""
    print(title)
    for name, seconds in times.items():
        median = statistics.median(seconds)
        ratio = f"   {median / statistics.median(times['convia']):6.2f} ×" if "convia" in times else ""
        print(f"  {name:13s} {median:8.4f} s  ({min(seconds):.4f} to {max(seconds):.4f}){ratio}", flush=True)


def compare(script: str, options: argparse.Namespace, titles: dict[str, str], able: Able) -> None:
    """Measure every work asked for, and print."""
    for work in options.works:
        pythons = dict.fromkeys(able(work), sys.executable) | {"tensorflow": options.tensorflow}
        names = [name for name in options.contenders or able(work) if name in able(work) and pythons[name]]
        known = json.loads(options.times.read_text()) if options.times and options.times.exists() else {}
        for name, seconds in race(script, work, {name: pythons[name] for name in names}, options.rounds).items():
            known.setdefault(work, {}).setdefault(name, []).extend(seconds)
        if options.times:
            options.times.write_text(json.dumps(known, indent=1) + "\n")
        report(titles[work], known[work])


def main(script: str, about: str, titles: dict[str, str], make: Make, able: Able) -> argparse.Namespace:
    """Read the arguments; measure, or be measured. ``titles`` has the works."""
    contenders = sorted({name for work in titles for name in able(work)})
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("works", nargs="*", metavar="WORK", help=" ".join(titles))
    parser.add_argument("--contenders", nargs="+", choices=contenders)
    parser.add_argument("--tensorflow", metavar="PYTHON", help="an interpreter that has TensorFlow")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--times", type=Path, metavar="FILE", help="times are added to those in this file")
    parser.add_argument("--obey", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.works = options.works or list(titles)
    if unknown := sorted({*options.works} - {*titles}):
        parser.error(f"no such work: {' '.join(unknown)}")
    if options.obey:
        obey(make(options.contenders[0], options.works[0]))
    else:
        compare(script, options, titles, able)
    return options
