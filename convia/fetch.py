"""Files from the network: downloaded once, checked, resumed, unpacked with care, and kept where Keras keeps them."""

import contextlib
import hashlib
import http.client
import logging
import lzma
import os
import shutil
import socket
import ssl
import stat
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from convia import config
from convia.errors import explain

if sys.platform != "win32":
    import fcntl

_log = logging.getLogger(__name__)
_SCHEMES = ("https", "http", "ftp", "file")
_CHUNK = 1 << 16
_ATTEMPTS = 3  # per source
_PAUSE = 0.5  # seconds before the second attempt; doubles with each
_TIMEOUT = 30  # seconds without a byte
_PARTIAL_CONTENT, _UNSATISFIABLE = 206, 416
_WORTH_RETRYING = (408, 416, 425, 429)  # statuses below 500 that may pass; those from 500 on always may
_UNPACKED_FREE, _UNPACKED_RATIO = 1 << 30, 100  # an archive may unpack to 1 GiB + 100 times its own size
_HEADER = 512  # bytes that a member counts for besides its content

_Member = tuple[str, bool, Callable[[], IO[bytes]] | None]  # name, whether a folder, how to open it


def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | Sequence[str] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
    *,
    mirrors: Sequence[str] = (),
) -> str:
    """Return the path of a file in the cache, downloading it if it is not there or not as its hash says.

    An interrupted download goes on where it stopped; a file appears under its name only when complete and checked.

    Args:
        fname: name in the cache; by default the last part of ``origin``. With ``extract``, the folder to unpack into.
        origin: URL of the file.
        untar: unpack a tar archive (older name of ``extract``).
        md5_hash: older name of ``file_hash``.
        file_hash: what the file's SHA-256 or MD5 has to be, in hexadecimal digits.
        cache_subdir: folder below the cache; an absolute path stands for itself.
        hash_algorithm: "sha256", "md5", or "auto" to tell by the length.
        extract: unpack a tar or zip archive and return the folder. Members that would leave the folder are skipped.
        archive_format: "auto", "tar", "zip", a list of them, or None to unpack nothing.
        cache_dir: the cache; ``$KERAS_HOME`` or ``~/.keras`` by default.
        force_download: download even if the file is there.
        mirrors: further URLs of the same file, tried in turn when ``origin`` fails.

    Raises:
        ValueError: no origin, a path as ``fname``, no source has a file with the given hash, or an archive unpacks to
            more than an honest one would.
        ConnectionError: no source could be reached; the message says which file to put where.
    """
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    if urllib.parse.urlsplit(origin or "").scheme not in _SCHEMES:
        raise ValueError(
            explain("get_file, argument 'origin'", repr(origin), f"a URL, starting with one of {_SCHEMES}")
        )
    assert origin is not None
    name = _name(fname, origin)
    folder = _folder(cache_dir, cache_subdir)
    target = extracted = folder / name
    if extract or untar:
        is_file = bool(fname) and "." in name
        extracted = folder / (f"{name.split('.')[0]}_extracted" if is_file else name)
        target = folder / (name if is_file else f"{name}_archive")

    def is_good() -> bool:
        return target.exists() and (not file_hash or validate_file(target, file_hash, hash_algorithm))

    fresh = force_download or not is_good()
    if fresh:
        with _alone(folder):
            if force_download or not is_good():  # another process may have brought it meanwhile
                _download(target, (origin, *mirrors), file_hash, hash_algorithm)
    if not (extract or untar):
        return str(target)
    if (fresh or not extracted.is_dir()) and not extract_archive(target, extracted, "tar" if untar else archive_format):
        text = explain("get_file", str(target), "a tar or zip archive", "It was not unpacked.")
        warnings.warn(text, stacklevel=2)
    return str(extracted)


def hash_file(fpath: str | os.PathLike[str], algorithm: Any = "sha256", chunk_size: int = 65535) -> str:
    """Return the hash of a file as hexadecimal digits: "sha256", "md5", or a :mod:`hashlib` object to feed."""
    hasher = _hasher(algorithm) if isinstance(algorithm, str) else algorithm
    with Path(fpath).open("rb") as file:
        while chunk := file.read(chunk_size):
            hasher.update(chunk)
    digest: str = hasher.hexdigest()
    return digest


def validate_file(
    fpath: str | os.PathLike[str], file_hash: str, algorithm: str = "auto", chunk_size: int = 65535
) -> bool:
    """Return whether a file has the given SHA-256 or MD5; "auto" tells which by its length."""
    return hash_file(fpath, _hasher(algorithm, file_hash), chunk_size) == str(file_hash).lower()


def _hasher(algorithm: str, file_hash: str | None = None) -> Any:
    is_sha256 = algorithm == "sha256" or (algorithm == "auto" and file_hash is not None and len(file_hash) == 64)
    return hashlib.sha256() if is_sha256 else hashlib.md5(usedforsecurity=False)


def _name(fname: str | os.PathLike[str] | None, origin: str) -> str:
    if fname:
        name = os.fspath(fname)
        if Path(name).name != name or "\\" in name or name == "..":
            remedy = "The folder is given by 'cache_dir' and 'cache_subdir'."
            raise ValueError(explain("get_file, argument 'fname'", repr(name), "a file name without folders", remedy))
        return name
    name = urllib.parse.urlsplit(origin).path.rpartition("/")[2]
    if name in ("", ".", ".."):
        remedy = "Give the file's name with 'fname'."
        raise ValueError(explain("get_file, argument 'origin'", repr(origin), "a URL that ends in a file name", remedy))
    return name


def _folder(cache_dir: str | os.PathLike[str] | None, cache_subdir: str) -> Path:
    """Make and return the folder of a download; where the cache cannot be written, below the temporary folder."""
    base = Path(cache_dir or config.home()).expanduser()
    try:
        folder = base / cache_subdir
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
        reason = "not writable"
    except OSError as error:
        reason = error.strerror or str(error)
    spare = Path(tempfile.gettempdir()) / ".keras"
    spare.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and spare.lstat().st_uid != os.getuid():
        remedy = f"Set KERAS_HOME to a folder of yours; {spare} belongs to somebody else."
        raise PermissionError(explain("get_file", f"{base} ({reason})", "a folder that can be written", remedy))
    folder = spare / cache_subdir
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time download into a folder, where the system can lock folders."""
    if sys.platform == "win32":
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class _WrongHashError(Exception):
    """A source answered with another file."""


_FAILURES = (urllib.error.URLError, ConnectionError, TimeoutError, http.client.HTTPException, _WrongHashError)


@dataclass
class _Part:
    """A download in progress. What is there may be continued if the server confirms the tag, or a hash will tell."""

    path: Path
    will_be_checked: bool
    tag: str | None = None

    @property
    def start(self) -> int:
        usable = (self.tag or self.will_be_checked) and self.path.exists()
        return self.path.stat().st_size if usable else 0


def _download(target: Path, sources: Sequence[str], file_hash: str | None, algorithm: str) -> None:
    """Bring a file from the first source that has it; raise what :func:`get_file` documents."""
    part = target.with_name(target.name + ".part")

    def check() -> None:
        if file_hash is not None and not validate_file(part, file_hash, algorithm):
            found = hash_file(part, _hasher(algorithm, file_hash))
            part.unlink()
            raise _WrongHashError(f"a file with the hash {found}")

    failures: dict[str, Exception] = {}
    for url in sources:
        try:
            _bring(url, _Part(part, will_be_checked=file_hash is not None), check)
        except _FAILURES as error:
            failures[url] = error
        else:
            part.replace(target)
            return
        finally:
            if file_hash is None:
                part.unlink(missing_ok=True)
    received = "; ".join(f"{url}: {_reason(error)}" for url, error in failures.items())
    who = f"get_file, {target.name}"
    if any(isinstance(error, _WrongHashError) for error in failures.values()):
        remedy = "It is incomplete or was changed; if it is meant to be another file, correct the hash."
        raise ValueError(explain(who, received, f"a file with the hash {file_hash}", remedy))
    remedy = f"Without a network, download {sources[0]} elsewhere and save it here as {target}"
    raise ConnectionError(explain(who, f"nothing ({received})", "a download", remedy))


def _bring(url: str, part: _Part, check: Callable[[], None]) -> None:
    """Download and check, again after failures that may pass, going on where the last attempt stopped."""
    for attempt in range(1, _ATTEMPTS + 1):
        start = part.start
        try:
            _transfer(url, part, start)
            check()
            return
        except _FAILURES as error:
            again = (
                start > 0 if isinstance(error, _WrongHashError) else _may_pass(error)
            )  # the beginning may have been wrong
            if not again or attempt == _ATTEMPTS:
                raise
        time.sleep(_PAUSE * 2 ** (attempt - 1))


def _transfer(url: str, part: _Part, start: int) -> None:
    """Download once; on failure, what came stays in the part."""
    headers = {"User-Agent": "convia"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if part.tag:
            headers["If-Range"] = part.tag
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == _UNSATISFIABLE:
            part.path.unlink(missing_ok=True)
        raise
    with response:
        answer = response.headers
        continued = getattr(response, "status", None) == _PARTIAL_CONTENT
        if continued and not (answer.get("Content-Range") or "").startswith(f"bytes {start}-"):
            part.path.unlink(missing_ok=True)
            raise ConnectionError("another part than the one asked for")
        etag = answer.get("ETag") or ""
        part.tag = etag if etag.startswith('"') else answer.get("Last-Modified")
        done = start if continued else 0
        total = done + int(answer["Content-Length"]) if (answer.get("Content-Length") or "").isdigit() else None
        name = part.path.name.removesuffix(".part")
        with part.path.open("ab" if continued else "wb") as file, _progress(name, url, done, total) as advance:
            for chunk in _chunks(response):
                file.write(chunk)
                advance(len(chunk))
                done += len(chunk)
    if total is not None and done != total:
        raise ConnectionError(f"only {done} of {total} bytes")


def _chunks(response: IO[bytes]) -> Iterator[bytes]:
    """Read to the end; failures of reading are ConnectionErrors, to tell them from a full disk."""
    try:
        while chunk := response.read(_CHUNK):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(_reason(error)) from error


def _may_pass(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500 or error.code in _WORTH_RETRYING
    reason = getattr(error, "reason", None)
    return not isinstance(reason, (str, socket.gaierror, FileNotFoundError, ssl.SSLCertVerificationError))


def _reason(error: BaseException) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    return str(getattr(error, "reason", None) or error) or type(error).__name__


@contextlib.contextmanager
def _progress(name: str, url: str, done: int, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yield a function that shows how far a download is: a bar on a terminal, a line per quarter elsewhere."""
    if not config.is_interactive_logging_enabled():
        _log.info("Downloading data from %s", url)
        yield lambda count: None
        return
    print(f"Downloading data from {url}", flush=True)
    if sys.stdout.isatty():
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, TimeRemainingColumn()) as bar:
            task = bar.add_task(name, total=total, completed=done)
            yield lambda count: bar.advance(task, count)
        return
    quarters = 4 * done // total if total else 0

    def advance(count: int) -> None:
        nonlocal done, quarters
        done += count
        if total and 4 * done // total > quarters:
            quarters = 4 * done // total
            print(f"{name}: {25 * quarters} % of {total / 1e6:.1f} MB", flush=True)

    yield advance


def extract_archive(
    file_path: str | os.PathLike[str],
    path: str | os.PathLike[str] = ".",
    archive_format: str | Sequence[str] | None = "auto",
) -> bool:
    """Unpack a tar (plain, gz, bz2, xz) or zip archive into a folder; return whether it was one.

    No link is made: a link to another member becomes a copy of it. Links and names that lead out of the folder, and
    devices, are skipped with a warning. The folder appears when everything is unpacked.

    Raises:
        ValueError: unknown format, or an archive that unpacks to more than 1 GiB + 100 times its size.
        OSError: a damaged archive.
    """
    formats = ("tar", "zip") if archive_format == "auto" else archive_format
    formats = (formats,) if isinstance(formats, str) else formats or ()
    unknown = set(formats) - set(_FORMATS)
    if unknown:
        raise ValueError(
            explain("archive_format", repr(archive_format), "'auto', 'tar', 'zip', a list of them, or None")
        )
    source, folder = Path(file_path), Path(path)
    members = next((_FORMATS[name][1] for name in formats if _FORMATS[name][0](source)), None)
    if members is None:
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        unpacked = Path(temporary).resolve() / "content"
        unpacked.mkdir()
        try:
            _unpack(members(source), unpacked, _UNPACKED_FREE + _UNPACKED_RATIO * source.stat().st_size, source)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, RuntimeError) as error:
            raise OSError(explain(str(source), f"a damaged archive ({error})", "a whole one", "Delete it.")) from error
        if folder.exists():
            shutil.copytree(unpacked, folder, dirs_exist_ok=True)
        else:
            unpacked.replace(folder)
    return True


def _unpack(members: Iterator[_Member], folder: Path, limit: int, source: Path) -> None:
    skipped, written = [], 0
    for name, is_folder, opened in members:
        place = (folder / name).resolve()
        if not place.is_relative_to(folder) or not (is_folder or opened):
            skipped.append(name)
            continue
        written += _HEADER
        if is_folder:
            place.mkdir(parents=True, exist_ok=True)
        elif opened:
            place.parent.mkdir(parents=True, exist_ok=True)
            with opened() as content, place.open("wb") as file:
                while (chunk := content.read(_CHUNK)) and written <= limit:
                    written += file.write(chunk)
        if written > limit:
            remedy = "It looks like a decompression bomb; unpack it yourself if you trust it."
            raise ValueError(explain(str(source), f"more than {limit} bytes of content", "an honest archive", remedy))
    if skipped:
        expected = "files and folders inside the archive's own folder"
        text = explain(str(source), f"{len(skipped)} other members ({', '.join(skipped[:5])})", expected, "Skipped.")
        warnings.warn(text, stacklevel=4)


def _tar_members(source: Path) -> Iterator[_Member]:
    with tarfile.open(source) as archive:
        for member in archive:
            yield member.name, member.isdir(), _tar_opener(archive, member)


def _tar_opener(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], IO[bytes]] | None:
    """Return how to open a file, or the file in the archive that a link stands for; None for anything else."""
    try:
        content = archive.extractfile(member)
    except (KeyError, RecursionError):  # a link to nothing in the archive, or to itself
        return None
    return (lambda: content) if content else None


def _zip_members(source: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(source) as archive:
        for member in archive.infolist():
            is_link = stat.S_ISLNK(member.external_attr >> 16)
            yield member.filename, member.is_dir(), None if is_link else partial(archive.open, member)


_FORMATS = {"tar": (tarfile.is_tarfile, _tar_members), "zip": (zipfile.is_zipfile, _zip_members)}
