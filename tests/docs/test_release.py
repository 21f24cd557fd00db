"""What a release needs: one version everywhere, notices of all data, type hints that others see, a source archive."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
VERSION = PROJECT["project"]["version"]


def test_one_version_by_semantic_versioning():
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", VERSION)
    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_data_file_has_a_notice():
    kinds = {".npz", ".json", ".csv", ".txt", ".png", ".jpg", ".gz", ".bin"}
    data = [path for path in (ROOT / "convia").rglob("*") if path.suffix in kinds and "__pycache__" not in path.parts]
    assert len(data) >= 2
    for path in data:
        notice = path.with_name("NOTICE.md")
        assert notice.exists() and path.name in notice.read_text(), f"whose is {path.name}?"


def test_pictures_of_others_have_a_notice():
    notice = (ROOT / "docs" / "pictures" / "NOTICE.txt").read_text()
    for code in (ROOT / "docs" / "course" / "code").glob("*.py"):
        if "grace_hopper" in code.read_text():
            for picture in re.findall(r'"(\w+\.jpg)"', code.read_text().replace("grace_hopper.jpg", "")):
                assert picture in notice


def test_types_are_seen_by_users():
    assert (ROOT / "convia" / "py.typed").is_file()
    assert "Typing :: Typed" in PROJECT["project"]["classifiers"]


def test_forms_for_issues_can_be_read():
    yaml = pytest.importorskip("yaml")
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    for form in [yaml.safe_load(path.read_text()) for path in forms if path.name != "config.yml"]:
        assert form["name"] and form["description"]
        assert all(field["attributes"]["label"] for field in form["body"])
    assert len(forms) >= 3


def test_citation_can_be_read():
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= set(citation)
    assert citation["license"] == PROJECT["project"]["license"]


def test_what_is_tested_is_pinned():
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().split()}
    groups = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *groups["test"], *groups["dev"], *groups["docs"]]
    assert {re.match(r"[\w-]+", requirement).group() for requirement in wanted} <= pinned
