"""Downloads from a server on this machine that can be made to misbehave, and archives that try to."""

import hashlib
import io
import os
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from convia import fetch

BODY = bytes(range(256)) * 1000
SHA = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class Server(ThreadingHTTPServer):
    """Serves BODY; ``script`` says how to treat the next requests: a status, "cut", "slow death" or "ignore range"."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.requests, self.body, self.etag = [], [], BODY, '"one"'
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def url(self, name="file.bin"):
        return f"http://127.0.0.1:{self.server_port}/some/{name}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.requests.append({**self.headers, "path": self.path})
        act = server.script.pop(0) if server.script else "serve"
        if isinstance(act, int):
            self.send_error(act)
            return
        body, start = server.body, 0
        asked = self.headers.get("Range")
        confirmed = self.headers.get("If-Range") in (None, server.etag)
        if asked and confirmed and act != "ignore range":
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start + (act == 'wrong part')}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if server.etag:
            self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : start + 100_000] if act == "cut" else body[start:])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fetch, "_PAUSE", 0.001)
    server = Server()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize(
    "hashes", [{}, {"file_hash": SHA}, {"file_hash": MD5}, {"md5_hash": MD5}, {"file_hash": SHA.upper()}]
)
def test_downloads_once(server, home, hashes, capsys):
    for _ in range(2):
        path = fetch.get_file(origin=server.url("file.bin?x=1"), **hashes)
    assert path == str(home / "datasets" / "file.bin")
    assert Path(path).read_bytes() == BODY
    assert len(server.requests) == 1
    assert names(home / "datasets") == ["file.bin"]
    assert capsys.readouterr().out.count("Downloading data from") == 1


def test_progress(server, capsys, monkeypatch):
    fetch.get_file("lines.bin", server.url())
    assert "lines.bin: 100 % of 0.3 MB" in capsys.readouterr().out
    monkeypatch.setattr(fetch.sys.stdout, "isatty", lambda: True, raising=False)
    fetch.get_file("bar.bin", server.url())
    assert "256.0/256.0 kB" in capsys.readouterr().out
    monkeypatch.setattr(fetch.config, "is_interactive_logging_enabled", lambda: False)
    fetch.get_file("quiet.bin", server.url())
    assert capsys.readouterr().out == ""


def test_places(server, home, tmp_path):
    assert fetch.get_file("a.bin", server.url(), cache_subdir="models/x") == str(home / "models" / "x" / "a.bin")
    assert fetch.get_file("a.bin", server.url(), cache_dir=tmp_path / "other") == str(tmp_path / "other/datasets/a.bin")
    assert fetch.get_file("a.bin", server.url(), cache_subdir=str(tmp_path / "abs")) == str(tmp_path / "abs" / "a.bin")


def test_a_file_from_the_disk(tmp_path):
    (tmp_path / "local.bin").write_bytes(BODY)
    assert Path(fetch.get_file(origin=(tmp_path / "local.bin").as_uri(), file_hash=SHA)).read_bytes() == BODY


def test_force_download(server):
    for _ in range(2):
        fetch.get_file(origin=server.url(), force_download=True)
    assert len(server.requests) == 2


def test_a_file_that_is_not_as_its_hash_says_is_downloaded_again(server, home):
    (home / "datasets").mkdir(parents=True)
    (home / "datasets" / "file.bin").write_bytes(b"old")
    assert Path(fetch.get_file(origin=server.url(), file_hash=SHA)).read_bytes() == BODY


@pytest.mark.parametrize("file_hash", [None, SHA])
@pytest.mark.parametrize(
    "script", [["cut"], ["cut", "cut"], [503], [500, "cut"], ["cut", "ignore range"], ["cut", "wrong part"]]
)
def test_failures_that_pass(server, script, file_hash):
    server.script = list(script)
    assert Path(fetch.get_file(origin=server.url(), file_hash=file_hash)).read_bytes() == BODY


def test_goes_on_where_it_stopped(server):
    server.script = ["cut"]
    fetch.get_file(origin=server.url())
    assert server.requests[1]["Range"] == "bytes=100000-"
    assert server.requests[1]["If-Range"] == '"one"'


def test_does_not_go_on_without_a_tag_or_a_hash(server):
    server.script, server.etag = ["cut"], None
    assert Path(fetch.get_file(origin=server.url())).read_bytes() == BODY
    assert "Range" not in server.requests[1]


def test_goes_on_with_what_an_earlier_run_left(server, home):
    (home / "datasets").mkdir(parents=True)
    (home / "datasets" / "file.bin.part").write_bytes(BODY[:50_000])
    assert Path(fetch.get_file(origin=server.url(), file_hash=SHA)).read_bytes() == BODY
    assert server.requests[0]["Range"] == "bytes=50000-"


@pytest.mark.parametrize("left", [b"something else", BODY, BODY + b"too long"])
def test_a_left_part_that_was_of_another_file(server, home, left):
    (home / "datasets").mkdir(parents=True)
    (home / "datasets" / "file.bin.part").write_bytes(left)
    assert Path(fetch.get_file(origin=server.url(), file_hash=SHA)).read_bytes() == BODY
    assert names(home / "datasets") == ["file.bin"]


@pytest.mark.parametrize("script", [[404], [503, 503, 503], ["cut", "cut", 404]])
def test_mirrors(server, script):
    server.script = list(script)
    assert Path(fetch.get_file(origin=server.url(), mirrors=[server.url("m.bin")], file_hash=SHA)).read_bytes() == BODY


def test_a_mirror_stands_in_for_another_file(server, tmp_path):
    (tmp_path / "wrong.bin").write_bytes(b"wrong")
    origin = (tmp_path / "wrong.bin").as_uri()
    assert Path(fetch.get_file("f.bin", origin, mirrors=[server.url()], file_hash=SHA)).read_bytes() == BODY


def test_not_found_is_not_tried_again(server, home):
    server.script = [404]
    with pytest.raises(
        ConnectionError, match=r"file\.bin: received nothing \(http.*HTTP 404.*save it here as .*file\.bin"
    ):
        fetch.get_file(origin=server.url())
    assert len(server.requests) == 1
    assert names(home / "datasets") == []


def test_without_a_network(home, monkeypatch):
    monkeypatch.setattr(fetch, "_PAUSE", 0.001)
    url = "http://127.0.0.1:9/mnist.npz"
    with pytest.raises(ConnectionError) as caught:
        fetch.get_file(origin=url, mirrors=["http://[::1]:9/mnist.npz"])
    for word in (f"download {url} elsewhere", str(home / "datasets" / "mnist.npz"), "[::1]"):
        assert word in str(caught.value)


def test_wrong_hash(server, home):
    server.body = b"forged"
    with pytest.raises(ValueError, match=f"received http.*a file with the hash .*expected a file with the hash {SHA}"):
        fetch.get_file(origin=server.url(), file_hash=SHA)
    assert names(home / "datasets") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "argument 'origin': received None; expected a URL"),
        ({"origin": "photo.jpg"}, "argument 'origin': received 'photo.jpg'"),
        ({"origin": "http://host/"}, "URL that ends in a file name.*'fname'"),
        ({"fname": "../up", "origin": "http://host/x"}, "argument 'fname': received '../up'.*cache_subdir"),
        ({"fname": "..", "origin": "http://host/x"}, "argument 'fname'"),
    ],
)
def test_messages(arguments, message):
    with pytest.raises(ValueError, match=message):
        fetch.get_file(**arguments)


def test_a_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(fetch.tempfile, "gettempdir", lambda: str(tmp_path))
    assert fetch.get_file(origin=server.url()) == str(tmp_path / ".keras" / "datasets" / "file.bin")


def test_hash_file(tmp_path):
    (tmp_path / "x").write_bytes(BODY)
    assert fetch.hash_file(tmp_path / "x") == SHA
    assert fetch.hash_file(tmp_path / "x", "md5") == MD5
    assert fetch.validate_file(tmp_path / "x", SHA)
    assert fetch.validate_file(tmp_path / "x", MD5, "md5")
    assert not fetch.validate_file(tmp_path / "x", MD5, "sha256")


def tar(path, *members, mode="w:gz"):
    """Write members (name, type, content or link)."""
    with tarfile.open(path, mode) as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = content
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if info.size else None)
    return path


FILE, DIR, SYM, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize(
    ("fname", "archive", "folder"),
    [
        ("photos", "photos_archive", "photos"),
        ("photos.tar.gz", "photos.tar.gz", "photos_extracted"),
        (None, "p.tgz_archive", "p.tgz"),
    ],
)
def test_extract_places_as_keras(server, home, tmp_path, fname, archive, folder):
    server.body = tar(tmp_path / "p.tgz", ("a/b.txt", FILE, b"hello")).read_bytes()
    for _ in range(2):
        path = fetch.get_file(fname, server.url("p.tgz"), extract=True)
    assert path == str(home / "datasets" / folder)
    assert (home / "datasets" / archive).is_file()
    assert (Path(path) / "a" / "b.txt").read_bytes() == b"hello"
    assert names(home / "datasets") == sorted([archive, folder])


def test_links_become_copies_and_what_leads_out_is_skipped(tmp_path):
    archive = tar(
        tmp_path / "x.tar",
        ("good/a", FILE, b"A"),
        ("good/link", SYM, "a"),
        ("good/hard", HARD, "good/a"),
        ("good/empty", DIR, b""),
        ("../escape", FILE, b"bad"),
        ("/tmp/absolute-escape", FILE, b"bad"),
        ("good/passwd", SYM, "/etc/passwd"),
        ("out", SYM, ".."),
        ("out/escape", FILE, b"inside"),
        ("loop", SYM, "loop"),
        ("device", tarfile.CHRTYPE, b""),
        mode="w",
    )
    with pytest.warns(UserWarning, match=r"received 6 other members \(\.\./escape, .*Skipped"):
        assert fetch.extract_archive(archive, tmp_path / "deep" / "to")
    found = {str(p.relative_to(tmp_path)): p.read_bytes() for p in (tmp_path / "deep").rglob("*") if p.is_file()}
    assert found == {
        "deep/to/good/a": b"A",
        "deep/to/good/link": b"A",
        "deep/to/good/hard": b"A",
        "deep/to/out/escape": b"inside",
    }
    assert not any(p.is_symlink() for p in (tmp_path / "deep").rglob("*"))
    assert not Path("/tmp/absolute-escape").exists()


def test_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("d/", "")
        archive.writestr("d/a.txt", "A")
        archive.writestr("../escape.txt", "bad")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc")
    with pytest.warns(UserWarning, match="2 other members"):
        assert fetch.extract_archive(tmp_path / "x.zip", tmp_path / "to")
    assert sorted(p.name for p in (tmp_path / "to").rglob("*")) == ["a.txt", "d"]


def test_formats(tmp_path):
    archive = tar(tmp_path / "x.tar.xz", ("a", FILE, b"A"), mode="w:xz")
    assert not fetch.extract_archive(archive, tmp_path / "1", None)
    assert not fetch.extract_archive(archive, tmp_path / "2", "zip")
    assert fetch.extract_archive(archive, tmp_path / "3", ["zip", "tar"])
    with pytest.raises(ValueError, match="archive_format: received 'rar'"):
        fetch.extract_archive(archive, tmp_path / "4", "rar")


def test_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "_UNPACKED_FREE", 1000)
    archive = tar(tmp_path / "bomb.tgz", ("zeros", FILE, bytes(10_000_000)))
    with pytest.raises(ValueError, match=r"bomb\.tgz: received more than \d+ bytes.*decompression bomb"):
        fetch.extract_archive(archive, tmp_path / "to")
    assert names(tmp_path) == ["bomb.tgz"]


def test_a_damaged_archive(tmp_path):
    archive = tar(tmp_path / "x.tgz", ("a", FILE, os.urandom(100_000)))
    archive.write_bytes(archive.read_bytes()[:50_000])
    with pytest.raises(OSError, match=r"x\.tgz: received a damaged archive"):
        fetch.extract_archive(archive, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_not_an_archive(server):
    with pytest.warns(UserWarning, match="expected a tar or zip archive"):
        fetch.get_file("x", server.url(), extract=True)
