"""The dataset doctor: what is wrong with a folder of images. It looks; it never changes, moves or deletes a file."""

import csv
import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convia.errors import explain
from convia.images import examine_alike
from convia.images.examine_files import Facts, look, threads
from convia.images.listing import FORMATS, scan

ENDINGS = (*FORMATS, ".tif", ".tiff", ".webp")
PARTS = {
    "training": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test", "testing"),
}
_TINY, _SHARE_OF_MEDIAN = 8, 0.25  # a shorter side below these pixels, or below this share of the median, is tiny
_STRETCHED = 4.0  # the longer side divided by the shorter one
_LARGE = 50_000_000  # pixels
_UNBALANCED = 10.0  # images of the largest class divided by those of the smallest
_FEW = 10  # images in a class


class Kind(NamedTuple):
    """A sort of finding: whether it spoils training, which of its files are put into quarantine, and its words."""

    is_problem: bool
    quarantined: str  # "all", "later" (all but the first), "training" (those not in the part furthest from it), ""
    words: str


KINDS = {
    "empty": Kind(True, "all", "files without content"),
    "not_an_image": Kind(True, "all", "files that are no images"),
    "truncated": Kind(True, "all", "images that are cut short"),
    "damaged": Kind(True, "all", "images that cannot be read"),
    "huge": Kind(True, "all", "images of more pixels than is safe (decompression bombs)"),
    "leak": Kind(True, "training", "the same image in several of training, validation and test"),
    "conflict": Kind(True, "all", "the same image in several classes"),
    "near_leak": Kind(True, "training", "images that look alike in several of training, validation and test"),
    "near_conflict": Kind(True, "all", "images that look alike in several classes"),
    "outside": Kind(False, "", "links that lead out of the folder"),
    "no_images": Kind(True, "", "classes without an image that can be read"),
    "duplicate": Kind(False, "later", "the same image several times in a class"),
    "near_duplicate": Kind(False, "", "images of a class that look alike"),
    "imbalance": Kind(False, "", "classes of very different sizes"),
    "few": Kind(False, "", f"classes of fewer than {_FEW} images"),
    "missing": Kind(False, "", "classes that a part lacks"),
    "blank": Kind(False, "", "images of one colour"),
    "tiny": Kind(False, "", "very small images"),
    "stretched": Kind(False, "", f"images more than {_STRETCHED:g} times as long as wide"),
    "large": Kind(False, "", f"images of more than {_LARGE // 10**6} million pixels, slow to read"),
    "extension": Kind(False, "", "files that are not what their extension says"),
    "rotated": Kind(False, "", "images that EXIF data turns"),
    "animated": Kind(False, "", "animated images"),
    "cmyk": Kind(False, "", "CMYK images"),
    "sixteen_bits": Kind(False, "", "images of more than 8 bits per channel"),
    "alpha": Kind(False, "", "images with transparency"),
    "palette": Kind(False, "", "images with a palette"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was found, of a kind in :data:`KINDS`: the files it is about (or none), and what there is to say.

    For images that are the same or alike, ``paths`` are all of one group.
    """

    kind: str
    paths: tuple[str, ...]
    text: str = ""


@dataclass(frozen=True)
class Examination:
    """What :func:`examine` found out about a folder. Paths are relative to ``root``."""

    root: str
    files: list[Facts]
    findings: list[Finding]
    others: dict[str, int]  # ending → number of files that are not looked at

    @property
    def is_healthy(self) -> bool:
        """Whether nothing was found that spoils training."""
        return not any(KINDS[finding.kind].is_problem for finding in self.findings)

    def of(self, kind: str) -> list[Finding]:
        """Return the findings of a kind.

        Raises:
            ValueError: no such kind.
        """
        if kind not in KINDS:
            raise ValueError(explain("Examination.of", repr(kind), f"one of {list(KINDS)}"))
        return [finding for finding in self.findings if finding.kind == kind]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return class → part → number of images that can be read; the part is "" where there are none."""
        classes = sorted({facts.class_name for facts in self.files})
        parts = [part for part in ("", *PARTS) if any(facts.part == part for facts in self.files)]
        number = Counter((facts.class_name, facts.part) for facts in self.files if not facts.bad)
        return {name: {part: number[name, part] for part in parts} for name in classes}

    def quarantine(self) -> list[tuple[str, str, str]]:
        """Return (path, kind, reason) of the files that training does better without, each once."""
        chosen: dict[str, tuple[str, str, str]] = {}
        for finding in sorted(self.findings, key=lambda finding: [*KINDS].index(finding.kind)):
            for path in self._to_leave_out(finding):
                others = [other for other in finding.paths if other != path]
                reason = finding.text + (f": {others[0]}" if others else "")
                chosen.setdefault(path, (path, finding.kind, reason))
        return sorted(chosen.values())

    def _to_leave_out(self, finding: Finding) -> Sequence[str]:
        how = KINDS[finding.kind].quarantined
        if how == "training":  # what is tested on stays
            order = [*PARTS]
            part = {facts.path: facts.part for facts in self.files}
            last = max(order.index(part[path]) for path in finding.paths)
            return [path for path in finding.paths if order.index(part[path]) < last]
        return {"all": finding.paths, "later": finding.paths[1:], "": ()}[how]

    def write_quarantine(self, path: str | os.PathLike[str]) -> int:
        """Write the list to a file: path, kind and reason as CSV if its name ends in .csv, else a path per line.

        Returns:
            The number of files on it.
        """
        rows, file = self.quarantine(), Path(path)
        with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
            if file.suffix.lower() == ".csv":
                csv.writer(stream, lineterminator="\n").writerows([("path", "kind", "reason"), *rows])
            else:
                stream.writelines(f"{row[0]}\n" for row in rows)
        return len(rows)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as what JSON can hold."""
        whole = [facts for facts in self.files if not facts.bad]
        sides = np.array([(facts.width, facts.height) for facts in whole] or [(0, 0)])
        return {
            "root": self.root,
            "healthy": self.is_healthy,
            "images": len(whole),
            "files": len(self.files),
            "other_files": self.others,
            "classes": self.counts(),
            "formats": dict(Counter(facts.format for facts in whole).most_common()),
            "modes": dict(Counter(facts.mode for facts in whole).most_common()),
            "width": {name: int(getattr(np, name)(sides[:, 0])) for name in ("min", "median", "max")},
            "height": {name: int(getattr(np, name)(sides[:, 1])) for name in ("min", "median", "max")},
            "findings": [
                {
                    "kind": finding.kind,
                    "problem": KINDS[finding.kind].is_problem,
                    "paths": [*finding.paths],
                    "text": finding.text,
                }
                for finding in self.findings
            ],
            "quarantine": [{"path": path, "kind": kind, "reason": reason} for path, kind, reason in self.quarantine()],
        }


def examine(
    folder: str | os.PathLike[str],
    follow_links: bool = False,
    alike: bool = True,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Examination:
    """Read all images below a folder and say what is wrong with them, singly, among each other, and as a data set.

    ::

        found = examine("photos")
        for finding in found.of("truncated"):
            print(finding.paths, finding.text)
        found.write_quarantine("quarantine.csv")

    Args:
        folder: with a subfolder per class, possibly within train/, validation/ and test/; or of images alone.
        follow_links: also look at what links out of the folder lead to.
        alike: also look for images that look alike: copies in another size, format or quality. Turned, mirrored or
            cut ones are not found, nor such of fewer than 16 pixels.
        workers: how many files are read at once.
        progress: called with the number of files read so far, and of all.

    Raises:
        NotADirectoryError: no such folder. ValueError: no images in it.
    """
    root = os.fspath(folder)
    if not Path(root).is_dir():
        raise NotADirectoryError(explain("examine", repr(root), "a folder of images"))
    found = scan(root, [""], follow_links, ("",))
    listed, outside = [*found.names()], found.outside
    names = [name for name in listed if name.lower().endswith(ENDINGS)]
    if not names:
        raise ValueError(explain("examine", f"no images in {root}", f"files ending in {', '.join(ENDINGS)}"))
    others = Counter(Path(name).suffix.lower() or "no ending" for name in listed if not name.lower().endswith(ENDINGS))
    parts = _parts_of(root)
    with warnings.catch_warnings(), ThreadPoolExecutor(workers or threads()) as pool:
        warnings.simplefilter("ignore")  # Pillow's, of odd metadata and large images: they are findings here
        files = []
        for facts in pool.map(lambda name: _look(root, name, parts), names):
            files.append(facts)
            if progress is not None:
                progress(len(files), len(names))
    links = [os.path.relpath(path, root) for path in outside]
    findings = [Finding("outside", (link,), "it is not followed") for link in sorted(links)]
    findings += [*_of_files(files), *_same(files), *_of_classes(root, files, parts)]
    if alike:
        findings += _alike(files)
    order = {kind: number for number, kind in enumerate(KINDS)}
    findings.sort(key=lambda finding: (order[finding.kind], finding.paths, finding.text))
    return Examination(root, files, findings, dict(others.most_common()))


def _parts_of(root: str) -> dict[str, str]:
    """Return folder → part, for those directly in the root that are named like parts; none without training."""
    folders = {entry.name for entry in Path(root).iterdir() if entry.is_dir()}
    found = {name: part for part, names in PARTS.items() for name in names if name in folders}
    return found if "training" in found.values() else {}


def _look(root: str, name: str, parts: dict[str, str]) -> Facts:
    folders = Path(name).parts[:-1]
    part = parts.get(folders[0], "") if folders else ""
    inner = folders[1:] if part else folders
    facts = look(str(Path(root, name)), part, inner[0] if inner else "")
    return Facts(**{**vars(facts), "path": name})


def _of_files(files: Sequence[Facts]) -> Iterator[Finding]:
    """Find what can be said of each file, also beside the others' sizes."""
    whole = [facts for facts in files if not facts.bad]
    median = float(np.median([min(facts.width, facts.height) for facts in whole])) if whole else 0.0
    for facts in files:
        if facts.bad:
            yield Finding(facts.bad, (facts.path,), facts.reason)
            continue
        for kind, words in facts.traits:
            yield Finding(kind, (facts.path,), words)
        short, long = sorted((facts.width, facts.height))
        size = f"{facts.width}×{facts.height} pixels"
        if short < _TINY or short < _SHARE_OF_MEDIAN * median:
            yield Finding("tiny", (facts.path,), f"{size}; the median of the shorter sides is {median:.0f}")
        if long > _STRETCHED * short:
            yield Finding("stretched", (facts.path,), size)
        if short * long > _LARGE:
            yield Finding("large", (facts.path,), size)


def _same(files: Sequence[Facts]) -> Iterator[Finding]:
    """Find files of the same content, byte by byte."""
    by_content = defaultdict(list)
    for facts in files:
        if not facts.bad:
            by_content[facts.digest].append(facts)
    for group in by_content.values():
        if len(group) > 1:
            yield from _of_group(group, "", "the same content")


def _alike(files: Sequence[Facts]) -> Iterator[Finding]:
    """Find images that look alike, of different contents."""
    first: dict[str, Facts] = {}
    for facts in files:
        if facts.signature is not None:
            first.setdefault(facts.digest, facts)
    single = [*first.values()]
    hashes = np.array([facts.hashes for facts in single], np.uint64).reshape(-1, 2)
    signatures = np.stack([facts.signature for facts in single]) if single else np.empty((0, 0), np.uint8)  # type: ignore[misc]
    for group in examine_alike.groups(hashes, signatures):
        digests = {single[number].digest for number in group}
        yield from _of_group([facts for facts in files if facts.digest in digests], "near_", "alike")


def _of_group(group: Sequence[Facts], prefix: str, words: str) -> Iterator[Finding]:
    paths = tuple(sorted(facts.path for facts in group))
    parts = {facts.part for facts in group}
    classes = {facts.class_name for facts in group}
    if len(parts) > 1:
        named = " and ".join(part for part in PARTS if part in parts)
        yield Finding(f"{prefix}leak", paths, f"{words} in {named}".strip())
    if len(classes) > 1:
        yield Finding(f"{prefix}conflict", paths, f"{words} in the classes {', '.join(sorted(classes))}")
    if len(parts) == len(classes) == 1:
        yield Finding(f"{prefix}duplicate", paths, words)


def _of_classes(root: str, files: Sequence[Facts], parts: dict[str, str]) -> Iterator[Finding]:
    """Find what is wrong with the numbers of images per class and part."""
    places = [Path(root, name) for name in parts] or [Path(root)]
    folders = {entry.name for place in places for entry in _subfolders(place)}
    for part in sorted({facts.part for facts in files}):
        number = Counter(facts.class_name for facts in files if facts.part == part and not facts.bad)
        within = f" of {part}" if part else ""
        if part in ("", "training"):
            for name in sorted(folders - set(number)):
                yield Finding("no_images", (), f"the class {name}{within}")
            yield from _of_sizes(number, within)
        elif missing := sorted(folders - set(number)):
            yield Finding("missing", (), f"{part} has no {', '.join(missing)}")


def _of_sizes(number: Counter[str], within: str) -> Iterator[Finding]:
    for name, images in sorted(number.items()):
        if images < _FEW and len(number) > 1:
            yield Finding("few", (), f"the class {name}{within}: {images}")
    ranked = number.most_common()
    if len(ranked) > 1 and ranked[0][1] >= _UNBALANCED * ranked[-1][1]:
        (most, largest), (least, smallest) = ranked[0], ranked[-1]
        yield Finding("imbalance", (), f"{most} has {largest:,} images, {least} {smallest:,}")


def _subfolders(place: Path) -> Iterable[Path]:
    return (entry for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith("."))
