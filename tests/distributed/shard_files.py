"""Tar archives of small pictures for tests."""

import io
import json
import tarfile

import numpy as np
from PIL import Image


def png(value):
    file = io.BytesIO()
    Image.fromarray(np.full((6, 6, 3), value, np.uint8)).save(file, "PNG")
    return file.getvalue()


def archive(members):
    """Return the bytes of a tar archive of (name, content)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def write(folder, shards=5, each=7, label=".cls"):
    """Write archives of pictures whose pixels are their numbers, and whose classes are those modulo 3."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        numbers = range(shard * each, (shard + 1) * each)
        text = {".cls": str, ".json": lambda c: json.dumps({"label": "abc"[c]}), ".txt": lambda c: "abc"[c]}[label]
        members = [
            (f"in/{n:04}{end}", part)
            for n in numbers
            for end, part in ((".png", png(n)), (label, text(n % 3).encode()))
        ]
        (folder / f"{shard:03}.tar").write_bytes(archive(members))
    return str(folder / f"{{000..{shards - 1:03}}}.tar")
