"""Load files that are broken on purpose: ``python tools/fuzz_files.py 20000 [seed]``.

Each case is one of a few files of models, changed: bits, cuts, splices, and changes within the members of an archive
and within JSON such that checksums and syntax stay right. It has to load or to raise a ValueError that names the file,
within seconds and within a limit of memory. Cases run in a child process, so that one that kills it is counted too; a
change is drawn from the number of its case, so that ``--only 123`` repeats it.
"""

import argparse
import copy
import faulthandler
import io
import json
import random
import resource
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SECONDS, MEBI = 20, 1 << 20
LIMIT = 64 * MEBI  # bytes more than before: ten times any file here, and what libraries keep
GOLDEN = Path(__file__).parents[1] / "tests/saving/golden"
FROM_GOLDEN = {
    "tf_keras": ("graph_residual.keras", "graph_operators.h5", "train_Adam.keras", "train_legacy_Adam.h5"),
    "tf_1": ("old_operators.h5", "layer_cudnn.h5"),
}
BATCH = 2500  # importing takes as long as a hundred cases
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**31,
    10**18,
    1e308,
    "",
    "x" * 1000,
    "../../etc/passwd",
    [],
    {},
    [[]],
    "__lambda__",
    0.5,
)

Bytes = bytes


def originals(folder: Path) -> list[Path]:
    """Write the files that the cases start from."""
    import convia

    la = convia.layers
    inputs = convia.Input((6, 6, 2), name="image")
    x = la.Conv2D(2, 3, activation="relu")(inputs)
    x = la.Add()([x, la.BatchNormalization()(x)])
    model = convia.Model(inputs, la.Dense(2)(la.Flatten()(x * 2 - 1)))
    model.compile("adam", "mse", metrics=["mae"])
    model.optimizer.build(model.trainable_variables)
    for name in ("a.keras", "b.h5"):
        model.save(folder / name)
    model.save_weights(folder / "c.weights.h5")
    convia.export.save_safetensors(model, folder / "d.safetensors")
    for source, names in FROM_GOLDEN.items():
        with tarfile.open(GOLDEN / f"{source}.tar.xz") as archive:
            for name in names:
                member = archive.extractfile(name)
                assert member is not None
                (folder / name).write_bytes(member.read())
    return sorted(path for path in folder.iterdir() if path.is_file())


# -- changes ----------------------------------------------------------------------------------------------------------


def flip(data: Bytes, rng: random.Random) -> Bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(data: Bytes, rng: random.Random) -> Bytes:
    return data[: rng.randrange(len(data))]


def overwrite(data: Bytes, rng: random.Random) -> Bytes:
    start, length = rng.randrange(len(data)), rng.choice((1, 4, 8, 100, 4096))
    filling = rng.choice((b"\0", b"\xff", b"\x7f", rng.randbytes(1))) * length
    return data[:start] + filling + data[start + length :]


def insert(data: Bytes, rng: random.Random) -> Bytes:
    start = rng.randrange(len(data))
    return data[:start] + rng.randbytes(rng.choice((1, 8, 512))) + data[start:]


def move(data: Bytes, rng: random.Random) -> Bytes:
    length = rng.choice((4, 8, 64, 1024))
    source, target = rng.randrange(len(data)), rng.randrange(len(data))
    return data[:target] + data[source : source + length] + data[target + length :]


RAW = (flip, cut, overwrite, insert, move)


def in_json(text: Bytes, rng: random.Random) -> Bytes:
    """Change a value, lose a key, or exchange two values."""
    config = json.loads(text)
    for _ in range(rng.choice((1, 1, 2, 5))):
        places = list(_places(config)) if isinstance(config, (dict, list)) else []
        if not places:
            break
        holder, key = rng.choice(places)
        act = rng.randrange(4)
        if act == 0:
            holder[key] = _odd(rng)
        elif act == 1 and isinstance(holder, dict):
            del holder[key]
        elif act == 2:
            other, name = rng.choice(places)
            holder[key] = json.loads(json.dumps(other[name]))  # a copy, or a value might hold itself
        else:
            number = holder[key]
            holder[key] = number * rng.choice((-1, 0, 1000)) if isinstance(number, int) else _odd(rng)
    return json.dumps(config).encode()


def _odd(rng: random.Random) -> Any:
    """Draw a value of its own: lists that places share might come to hold themselves."""
    return copy.deepcopy(rng.choice(ODD))


def _places(item: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(item) if isinstance(item, dict) else range(len(item)):
        yield item, key
        if isinstance(item[key], (dict, list)):
            yield from _places(item[key])


def in_member(data: Bytes, rng: random.Random) -> Bytes:
    """Change a member of an archive and write the archive anew."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    members[name] = (in_json if name.endswith(".json") and rng.random() < 0.8 else rng.choice(RAW))(members[name], rng)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for key, value in members.items():
            archive.writestr(key, value)
    return stream.getvalue()


def in_attribute(data: Bytes, rng: random.Random) -> Bytes:
    """Change a config in an attribute of an HDF5 file, or any bit of another file."""
    import h5py

    if not data.startswith(b"\x89HDF"):
        return flip(data, rng)
    stream = io.BytesIO(data)
    with h5py.File(stream, "r+") as file:
        names = [name for name in ("model_config", "training_config") if name in file.attrs]
        if names:
            name = rng.choice(names)
            text = file.attrs[name]
            file.attrs[name] = in_json(text.encode() if isinstance(text, str) else bytes(text), rng)
    return stream.getvalue()


def changed(data: Bytes, rng: random.Random) -> Bytes:
    """Draw a change for a file."""
    is_archive = data[:2] == b"PK"
    inside: Callable[[Bytes, random.Random], Bytes] = in_member if is_archive else in_attribute
    try:
        return (inside if rng.random() < 0.6 else rng.choice(RAW))(data, rng)
    except RecursionError:  # a value was put into itself
        return flip(data, rng)


# -- what happens -----------------------------------------------------------------------------------------------------


def outcome(path: Path, weights_of: Any) -> str:
    """Load a file; return "loaded", "refused", or what went wrong."""
    import convia
    from convia.models import load_model

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.alarm(SECONDS)
    faulthandler.dump_traceback_later(2 * SECONDS, exit=True)  # what hangs in a library hears no signal
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if ".weights." in path.name:
                weights_of.load_weights(path)
            elif path.suffix == ".safetensors":
                convia.export.load_safetensors(weights_of, path)
            else:
                load_model(path)
        result = "loaded"
    except ValueError as error:
        result = "refused" if path.name in str(error) else f"does not name the file: {type(error).__name__}: {error}"
    except BaseException as error:
        result = f"{type(error).__name__}: {error}"
    signal.alarm(0)
    faulthandler.cancel_dump_traceback_later()
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return result if more <= LIMIT else f"took {more / MEBI:.0f} MiB"


def run_batch(folder: Path, numbers: range, seed: int, report: Path) -> None:
    """Run some cases, one line each, before the case and after it."""
    from convia.models import load_model

    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("took too long")))
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    weights_of = load_model(folder / "a.keras")
    with report.open("a", buffering=1) as lines:
        for number in numbers:
            rng = random.Random(seed * 1_000_003 + number)
            source = rng.choice(paths)
            path = folder / "cases" / source.name
            path.write_bytes(changed(source.read_bytes(), rng))
            lines.write(f"{number}\t{source.name}\t")
            lines.write(outcome(path, weights_of).replace("\n", " ")[:300] + "\n")
            path.unlink(missing_ok=True)


def run(count: int, seed: int, only: int | None = None) -> list[str]:
    """Run all cases in child processes, and return the failures, a line each."""
    failures: list[str] = []
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        originals(folder)
        (folder / "cases").mkdir()
        report = folder / "cases" / "report.tsv"
        start, end = (0, count) if only is None else (only, only + 1)
        while start < end:
            report.write_text("")
            numbers = range(start, min(start + BATCH, end))
            arguments = [str(folder), str(numbers.start), str(numbers.stop), str(seed)]
            status = subprocess.run([sys.executable, __file__, "--batch", *arguments], check=False).returncode
            lines = report.read_text().splitlines()
            if status:
                lines[-1:] = [f"{(lines or ['?'])[-1]}killed the process: {status}"]
            start = int(lines[-1].split("\t")[0]) + 1
            for line in lines:
                result = line.split("\t")[-1]
                counts[result if result in ("loaded", "refused") else "failed"] += 1
                if result not in ("loaded", "refused"):
                    failures.append(line)
                    print(line, flush=True)
    print(dict(counts), flush=True)
    return failures


def main() -> None:
    """Parse the arguments and run."""
    if sys.argv[1:2] == ["--batch"]:
        name, *numbers = sys.argv[2:]
        start, stop, seed = map(int, numbers)
        run_batch(Path(name), range(start, stop), seed, Path(name) / "cases" / "report.tsv")
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=300)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--only", type=int, help="the number of one case to repeat")
    options = parser.parse_args()
    started = time.monotonic()
    failures = run(options.count, options.seed, options.only)
    print(f"{len(failures)} failures, {time.monotonic() - started:.0f} s")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
