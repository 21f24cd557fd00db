"""Build the engine's own check (engine/tests/check.cpp, which needs no Python) in some way, and run it.

The ways that end in "-python" build the module with a sanitizer instead and run tests/engine with it.

Usage: python tools/check_engine.py WAY … (all that this machine has the tools for: without arguments)
Builds are kept in build/check/. Warnings are errors. A way without its tools is an error where it was asked for.
"""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ARM = ("-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", "-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++")


class Way(NamedTuple):
    """How to build and to run: CMake's options, compiler flags, what runs the program, tools needed."""

    options: tuple[str, ...] = ()
    flags: str = ""
    runner: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    folder: str = ""  # of the build, where it is another way's
    library: str = ""  # of the sanitizer, where the module is built and Python runs it
    settings: tuple[tuple[str, str], ...] = ()  # of the sanitizer, in the environment


ADDRESS = "-g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
THREAD = "-g -fsanitize=thread"
SUPPRESSED = ROOT / "tools" / "races_of_others.txt"
WAYS = {
    "native": Way(),
    "nehalem": Way(runner=("qemu-x86_64", "-cpu", "Nehalem"), tools=("qemu-x86_64",), folder="native"),
    "neon": Way(
        ARM, "", ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"), tools=("qemu-aarch64", "aarch64-linux-gnu-g++")
    ),
    "address": Way(flags=ADDRESS),
    "thread": Way(flags=THREAD),
    "address-python": Way(
        flags=ADDRESS, library="libasan.so", settings=(("ASAN_OPTIONS", "detect_leaks=0"),)
    ),  # what CPython and torch never free is not ours
    "thread-python": Way(
        flags=THREAD,
        runner=("setarch", "-R"),  # the sanitizer needs the usual places in memory
        tools=("setarch",),
        library="libtsan.so",
        settings=(("TSAN_OPTIONS", f"suppressions={SUPPRESSED} halt_on_error=1 ignore_noninstrumented_modules=1"),),
    ),
    "clang": Way(("-DCMAKE_CXX_COMPILER=clang++",), tools=("clang++",)),
}


def missing(name: str) -> str:
    """Return why this machine cannot go a way, "" if it can."""
    if name == "nehalem" and platform.machine() != "x86_64":
        return "this is no x86-64"
    needed = ("cmake", "ninja", "c++", *WAYS[name].tools)
    lacking = [f"no {tool}" for tool in needed if shutil.which(tool) is None]
    if WAYS[name].library and importlib.util.find_spec("nanobind") is None:
        lacking.append(f"no nanobind for {sys.executable}")
    return ", ".join(lacking)


def program(name: str) -> Path:
    """Return where a way's program, or its module, is built."""
    file = f"_native{sysconfig.get_config_var('EXT_SUFFIX')}" if WAYS[name].library else "check"
    return ROOT / "build" / "check" / (WAYS[name].folder or name) / file


def build(name: str) -> Path:
    """Build a way's program, or its module, and return the path.

    Raises:
        subprocess.CalledProcessError: it does not compile without warnings.
    """
    way = WAYS[name]
    folder = program(name).parent
    kind = f"-DPython_EXECUTABLE={sys.executable}" if way.library else "-DCONVIA_CHECK=ON"
    warnings = "" if way.library else "-Werror "  # nanobind's own sources are not ours
    configure = ["cmake", "-S", ROOT / "engine", "-B", folder, "-G", "Ninja", kind, *way.options]
    subprocess.run([*configure, f"-DCMAKE_CXX_FLAGS={warnings}{way.flags}"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", folder, "--quiet", "_native" if way.library else "check"], check=True)
    return program(name)


def tests(name: str) -> tuple[list[Any], dict[str, str]]:
    """Return the command, and its environment, that runs the engine's tests with a module under a sanitizer."""
    way = WAYS[name]
    libraries = [
        subprocess.run(["c++", f"-print-file-name={library}"], check=True, text=True, stdout=subprocess.PIPE)
        for library in (way.library, "libstdc++.so")
    ]
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(found.stdout.strip() for found in libraries),
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(ROOT / "tools"),
        "CONVIA_INSTRUMENTED": str(build(name)),
        **dict(way.settings),
    }
    command = [*way.runner, sys.executable, "-m", "pytest", "-q", "-x", "-p", "instrumented"]
    return [*command, *sorted((ROOT / "tests" / "engine").glob("test_[!p]*.py"))], environment


def run(name: str) -> str:
    """Build and run the check, or the tests, in a way; return what it prints.

    Raises:
        subprocess.CalledProcessError: something is wrong; its output says what.
    """
    command, environment = tests(name) if WAYS[name].library else ([*WAYS[name].runner, build(name)], None)
    done = subprocess.run(
        command, check=False, text=True, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
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
