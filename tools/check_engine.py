"""Build the engine's own check (engine/tests/check.cpp, which needs no Python) in some way, and run it.

Usage: python tools/check_engine.py WAY … (all that this machine has the tools for: without arguments)
Builds are kept in build/check/. Warnings are errors. A way without its tools is an error where it was asked for.
"""

import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ARM = ("-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", "-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++")


class Way(NamedTuple):
    """How to build and to run: CMake's options, compiler flags, what runs the program, tools needed."""

    options: tuple[str, ...] = ()
    flags: str = ""
    runner: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    folder: str = ""  # of the build, where it is another way's


WAYS = {
    "native": Way(),
    "nehalem": Way(runner=("qemu-x86_64", "-cpu", "Nehalem"), tools=("qemu-x86_64",), folder="native"),
    "neon": Way(
        ARM, "", ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"), tools=("qemu-aarch64", "aarch64-linux-gnu-g++")
    ),
    "address": Way(flags="-g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"),
    "thread": Way(flags="-g -fsanitize=thread"),
    "clang": Way(("-DCMAKE_CXX_COMPILER=clang++",), tools=("clang++",)),
}


def missing(name: str) -> str:
    """Return why this machine cannot go a way, "" if it can."""
    if name == "nehalem" and platform.machine() != "x86_64":
        return "this is no x86-64"
    needed = ("cmake", "ninja", "c++", *WAYS[name].tools)
    return ", ".join(f"no {tool}" for tool in needed if shutil.which(tool) is None)


def program(name: str) -> Path:
    """Return where a way's program is built."""
    return ROOT / "build" / "check" / (WAYS[name].folder or name) / "check"


def build(name: str) -> Path:
    """Build a way's program and return its path.

    Raises:
        subprocess.CalledProcessError: it does not compile without warnings.
    """
    way = WAYS[name]
    folder = program(name).parent
    configure = ["cmake", "-S", ROOT / "engine", "-B", folder, "-G", "Ninja", "-DCONVIA_CHECK=ON", *way.options]
    subprocess.run([*configure, f"-DCMAKE_CXX_FLAGS=-Werror {way.flags}"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", folder, "--quiet"], check=True)
    return program(name)


def run(name: str) -> str:
    """Build and run the check in a way; return what it prints.

    Raises:
        subprocess.CalledProcessError: something is wrong; its output says what.
    """
    command = [*WAYS[name].runner, build(name)]
    done = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        print(done.stdout[-4000:])
    done.check_returncode()
    return done.stdout


def main(names: list[str]) -> None:
    for name in names or [name for name in WAYS if not missing(name)]:
        if name not in WAYS:
            sys.exit(f"{name}: there are {', '.join(WAYS)}")
        if reason := missing(name):
            sys.exit(f"{name}: {reason}")
        print(f"-- {name}\n{run(name)}", end="", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
