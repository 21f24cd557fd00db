"""The dataset doctor: each kind of finding in a folder made for it, copies that look alike, and what is written."""

import csv
import io
import json
import os
import threading

import broken_images
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from convia.images import examine, examine_alike
from convia.images.examine import KINDS, Examination, Finding
from convia.report.folder import class_counts, contact_sheet

rng = np.random.RandomState(0)


def picture(number, size=(64, 48)):
    pixels = np.random.RandomState(number).randint(0, 256, (6, 6, 3)).astype("uint8")
    return Image.fromarray(pixels).resize(size, Image.BICUBIC)


def save(path, img, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    img.save(path, **options)
    return path


def fill(root, start=0, **counts):
    for k, (name, count) in enumerate(counts.items()):
        for number in range(count):
            save(root / name / f"{number:02}.png", picture(1000 * k + start + number))


def found(root, kind, **how):
    """The findings of a kind: (paths, text)."""
    return [(finding.paths, finding.text) for finding in examine(root, **how).of(kind)]


@pytest.fixture
def healthy(tmp_path):
    fill(tmp_path, cat=11, dog=12)
    return tmp_path


def test_nothing_is_wrong_with_a_healthy_folder(healthy):
    report = examine(healthy)
    assert report.is_healthy
    assert report.findings == report.quarantine() == []
    assert report.counts() == {"cat": {"": 11}, "dog": {"": 12}}
    assert {facts.class_name for facts in report.files} == {"cat", "dog"}


def one(name, content):
    def make(root):
        (root / "cat" / name).write_bytes(content)
        return (f"cat/{name}",)

    return make


BROKEN = {
    "empty": ("empty.png", "text.png", "half.png", "without_data.png", "bomb.png"),
    "kinds": ("empty", "not_an_image", "truncated", "damaged", "huge"),
}
ODD = {
    "extension": "no_jpeg.jpg",
    "rotated": "turned.jpg",
    "animated": "moving.gif",
    "cmyk": "cmyk.jpg",
    "sixteen_bits": "deep.png",
    "alpha": "alpha.png",
    "palette": "palette.png",
}


@pytest.mark.parametrize(("name", "kind"), [*zip(*BROKEN.values(), strict=True)])
def test_broken_files(healthy, name, kind):
    (healthy / "cat" / name).write_bytes(broken_images.broken()[name])
    report = examine(healthy)
    assert [(finding.kind, finding.paths) for finding in report.findings] == [(kind, (f"cat/{name}",))]
    assert not report.is_healthy
    assert report.quarantine() == [(f"cat/{name}", kind, report.findings[0].text)]
    assert report.counts()["cat"] == {"": 11}


@pytest.mark.parametrize("kind", ODD)
def test_odd_files(healthy, kind):
    name = ODD[kind]
    (healthy / "cat" / name).write_bytes(broken_images.odd()[name])
    report = examine(healthy)
    assert [finding.paths for finding in report.of(kind)] == [(f"cat/{name}",)]
    assert report.is_healthy
    assert report.quarantine() == []


@pytest.mark.parametrize(
    ("kind", "size", "text"),
    [
        ("tiny", (5, 5), "5×5 pixels; the median of the shorter sides is 48"),
        ("tiny", (11, 30), "11×30 pixels"),
        ("stretched", (200, 40), "200×40 pixels"),
        ("large", (10_000, 5_100), "10000×5100 pixels"),
    ],
)
def test_sizes(healthy, kind, size, text):
    save(healthy / "dog" / "odd.png", Image.new("1", size) if kind == "large" else picture(99, size))
    ((paths, said),) = found(healthy, kind)
    assert paths == ("dog/odd.png",)
    assert text in said


def test_one_colour(healthy):
    save(healthy / "dog" / "blank.png", Image.new("RGB", (20, 20), (1, 2, 3)))
    assert found(healthy, "blank") == [(("dog/blank.png",), "one colour throughout")]


def copied(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())


@pytest.fixture
def parts(tmp_path):
    fill(tmp_path / "train", cat=11, dog=11)
    fill(tmp_path / "val", 100, cat=2, dog=2)
    fill(tmp_path / "testing", 200, cat=2, dog=2)
    return tmp_path


def test_the_same_file_several_times(parts):
    train = parts / "train"
    copied(train / "cat" / "01.png", train / "cat" / "copy.png")
    copied(train / "cat" / "02.png", train / "dog" / "cat.png")
    copied(train / "cat" / "03.png", parts / "val" / "cat" / "leak.png")
    copied(parts / "val" / "dog" / "00.png", parts / "testing" / "dog" / "leak.png")
    report = examine(parts)
    said = [(finding.kind, finding.paths, finding.text) for finding in report.findings]
    assert said == [
        ("leak", ("testing/dog/leak.png", "val/dog/00.png"), "the same content in validation and test"),
        ("leak", ("train/cat/03.png", "val/cat/leak.png"), "the same content in training and validation"),
        ("conflict", ("train/cat/02.png", "train/dog/cat.png"), "the same content in the classes cat, dog"),
        ("duplicate", ("train/cat/01.png", "train/cat/copy.png"), "the same content"),
    ]
    assert [row[:2] for row in report.quarantine()] == [
        ("train/cat/02.png", "conflict"),
        ("train/cat/03.png", "leak"),
        ("train/cat/copy.png", "duplicate"),
        ("train/dog/cat.png", "conflict"),
        ("val/dog/00.png", "leak"),
    ]
    assert report.counts() == {
        "cat": {"training": 12, "validation": 3, "test": 2},
        "dog": {"training": 12, "validation": 2, "test": 3},
    }


def jpeg(img, quality):
    stream = io.BytesIO()
    img.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


CHANGES = {
    "worse": lambda img: jpeg(img, 30),
    "half the size": lambda img: img.resize((32, 24)),
    "twice the size": lambda img: img.resize((128, 96)),
    "brighter": lambda img: ImageEnhance.Brightness(img).enhance(1.05),
    "palette": lambda img: img.convert("P"),
    "noisy": lambda img: Image.fromarray(np.clip(np.asarray(img) + rng.normal(0, 5, (48, 64, 3)), 0, 255).astype("uint8")),
    "one pixel less": lambda img: img.crop((0, 0, 63, 48)),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_copies_that_look_alike(parts, change):
    for number in range(11):
        img = CHANGES[change](picture(number))
        save(parts / "testing" / "cat" / f"copy_{number}.png", img.convert("RGB") if change == "worse" else img)
    leaks = [paths for paths, _ in found(parts, "near_leak")]
    assert leaks == [(f"testing/cat/copy_{k}.png", f"train/cat/{k:02}.png") for k in sorted(range(11), key=str)]
    assert found(parts, "near_leak", alike=False) == []


def test_alike_in_several_classes_and_in_one(healthy):
    save(healthy / "dog" / "copy.jpg", picture(3), quality=60)
    save(healthy / "cat" / "copy.jpg", picture(4), quality=60)
    report = examine(healthy)
    assert [(finding.kind, finding.paths, finding.text) for finding in report.findings] == [
        ("near_conflict", ("cat/03.png", "dog/copy.jpg"), "alike in the classes cat, dog"),
        ("near_duplicate", ("cat/04.png", "cat/copy.jpg"), "alike"),
    ]
    assert [row[0] for row in report.quarantine()] == ["cat/03.png", "dog/copy.jpg"]


def test_turned_by_exif_is_alike(healthy):
    turned = Image.Exif()
    turned[0x0112] = 6
    save(healthy / "cat" / "turned.jpg", picture(5).transpose(Image.ROTATE_90), exif=turned)
    assert found(healthy, "near_duplicate") == [(("cat/05.png", "cat/turned.jpg"), "alike")]


def test_hashes_that_differ_in_few_bits_are_found_and_no_others():
    hashes = rng.randint(0, 2**63, (500, 2)).astype(np.uint64)
    for number in range(50):
        bits = rng.permutation(64)[: number % 7]
        hashes[number + 100, 1] = np.bitwise_xor.reduce([hashes[number, 1], *(np.uint64(1) << bits.astype(np.uint64))])
    signatures = rng.randint(0, 256, (500, 768)).astype(np.uint8)
    signatures[100:150] = signatures[:50]
    assert examine_alike.groups(hashes, signatures) == [[k, k + 100] for k in range(50)]
    signatures[100:150] = rng.randint(0, 256, (50, 768))
    assert examine_alike.groups(hashes, signatures) == []
    same = np.repeat(hashes[:1], 5000, 0)
    (group,) = examine_alike.groups(same, np.repeat(signatures[:1], 5000, 0))
    assert group == [*range(5000)]
    assert examine_alike.groups(hashes[:0], signatures[:0]) == []


def test_classes_and_parts(tmp_path):
    fill(tmp_path / "train", cat=30, dog=3)
    fill(tmp_path / "test", 50, cat=2)
    (tmp_path / "train" / "emu").mkdir()
    (tmp_path / "train" / ".hidden").mkdir()
    report = examine(tmp_path)
    assert [(finding.kind, finding.text) for finding in report.findings] == [
        ("no_images", "the class emu of training"),
        ("imbalance", "cat has 30 images, dog 3"),
        ("few", "the class dog of training: 3"),
        ("missing", "test has no dog, emu"),
    ]
    assert not report.is_healthy


def test_images_without_classes_and_other_files(tmp_path):
    for number in range(3):
        save(tmp_path / f"{number}.webp", picture(number))
    (tmp_path / "readme.txt").write_text("no image")
    (tmp_path / "list").write_text("no image")
    report = examine(tmp_path)
    assert report.is_healthy
    assert report.others == {".txt": 1, "no ending": 1} or report.others == {"no ending": 1, ".txt": 1}
    assert report.counts() == {"": {"": 3}}


def test_links(healthy, tmp_path_factory):
    away = save(tmp_path_factory.mktemp("away") / "secret.png", picture(77))
    (healthy / "cat" / "out.png").symlink_to(away)
    (healthy / "cat" / "folder").symlink_to(away.parent)
    report = examine(healthy)
    outside = [("outside", ("cat/folder",)), ("outside", ("cat/out.png",))]
    assert [(finding.kind, finding.paths) for finding in report.findings] == outside
    assert len(report.files) == 23
    followed = examine(healthy, follow_links=True)
    assert len(followed.files) == 25
    assert [(finding.kind, finding.paths) for finding in followed.findings] == [
        ("duplicate", ("cat/folder/secret.png", "cat/out.png"))
    ]
    assert [text.get_text() for text in contact_sheet(report).texts] == ["Nothing was found"]  # it is not opened


def test_nothing_is_changed(parts):
    (parts / "train" / "cat" / "bad.png").write_bytes(b"bad")

    def state():
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(parts.rglob("*"))}

    before = state()
    report = examine(parts)
    contact_sheet(report)
    assert state() == before


def test_quarantine_files(parts, tmp_path_factory):
    (parts / "train" / "cat" / 'odd, "name".png').write_bytes(b"bad")
    copied(parts / "train" / "dog" / "01.png", parts / "train" / "dog" / "copy.png")
    report, out = examine(parts), tmp_path_factory.mktemp("out")
    assert report.write_quarantine(out / "bad.csv") == report.write_quarantine(out / "bad.txt") == 2
    paths = ['train/cat/odd, "name".png', "train/dog/copy.png"]
    assert (out / "bad.txt").read_text().splitlines() == paths
    rows = [*csv.DictReader((out / "bad.csv").read_text().splitlines())]
    assert [row["path"] for row in rows] == paths
    assert [row["kind"] for row in rows] == ["not_an_image", "duplicate"]
    assert rows[1]["reason"] == "the same content: train/dog/01.png"


def test_as_json(parts):
    (parts / "train" / "cat" / "bad.png").write_bytes(b"bad")
    told = json.loads(json.dumps(examine(parts).to_dict()))
    assert (told["healthy"], told["images"], told["files"]) == (False, 30, 31)
    assert told["width"] == {"min": 64, "median": 64, "max": 64}
    assert told["formats"] == {"PNG": 30} and told["modes"] == {"RGB": 30}
    assert told["findings"] == [
        {"kind": "not_an_image", "problem": True, "paths": ["train/cat/bad.png"], "text": "its content is of no format of images"}
    ]  # fmt: skip
    assert [row["path"] for row in told["quarantine"]] == ["train/cat/bad.png"]


def test_threads_and_progress(healthy):
    told, threads = [], set()
    examine(healthy, progress=lambda done, total: told.append((done, total)) or threads.add(threading.get_ident()))
    assert told == [(k, 23) for k in range(1, 24)]
    assert threads == {threading.get_ident()}
    assert [facts.path for facts in examine(healthy, workers=1).files] == [
        facts.path for facts in examine(healthy, workers=7).files
    ]


def test_pipes_are_not_waited_for(healthy):
    os.mkfifo(healthy / "cat" / "pipe.png")
    ((paths, text),) = found(healthy, "damaged")
    assert paths == ("cat/pipe.png",)
    assert "a pipe or a device" in text


def test_pictures(parts):
    (parts / "train" / "cat" / "bad.png").write_bytes(b"bad")
    copied(parts / "train" / "dog" / "01.png", parts / "testing" / "dog" / "copy.png")
    report = examine(parts)
    bars = class_counts(report)
    axes = bars.axes[0]
    assert [text.get_text().strip() for text in axes.texts] == ["16", "15"]  # dog, cat
    assert [label.get_text() for label in axes.get_yticklabels()] == ["dog", "cat"]
    sheet = contact_sheet(report)
    assert [text.get_text() for text in sheet.texts] == [
        "Files that are no images: 1", "The same image in several of training, validation and test: 1"
    ]  # fmt: skip
    assert [len(axes.images) for axes in sheet.axes] == [0, 1, 1]
    assert [text.get_text() for text in contact_sheet(report, ["cmyk"]).texts] == ["Nothing was found"]
    for figure in (bars, sheet):
        stream = io.BytesIO()
        figure.savefig(stream, format="png")
        assert np.asarray(Image.open(stream)).std() > 5


def test_every_kind_has_words():
    assert all(kind.quarantined in ("all", "later", "training", "") and kind.words for kind in KINDS.values())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda root: examine(root / "gone"), NotADirectoryError, "gone'; expected a folder of images"),
        (examine, ValueError, r"no images in .*; expected files ending in \.bmp, .*\.webp"),
        (
            lambda root: Examination("", [], [Finding("leak", ())], {}).of("leek"),
            ValueError,
            r"received 'leek'; expected one of \['empty'",
        ),
    ],
)
def test_messages(tmp_path, call, error, message):
    with pytest.raises(error, match=message):
        call(tmp_path)
