"""Every text exists in every language, and is filled in alike."""

import re
import string

import pytest

from convia import texts


def fields(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("key", texts.TEXTS)
def test_languages_agree(key):
    row = texts.TEXTS[key]
    assert len(row) == len(texts.LANGUAGES) and all(row)
    assert fields(row[0]) == fields(row[1])


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"LANG": "es_ES.UTF-8"}, "es"),
        ({"LC_ALL": "en_GB.UTF-8", "LANG": "es_ES.UTF-8"}, "en"),
        ({"LC_MESSAGES": "es_MX", "LANG": "de_DE.UTF-8"}, "es"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
    ],
)
def test_language_of_the_locale(monkeypatch, variables, expected):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert texts.language() == expected
    assert texts.language("es") == "es"


def test_an_unknown_language_is_refused():
    message = re.escape("--lang: received 'xx'; expected one of ['en', 'es'].")
    with pytest.raises(ValueError, match=message):
        texts.language("xx")


def test_speaker_fills_in():
    assert texts.speaker("es")("cell", true="gato", predicted="perro", count=3) == "gato tomada por perro: 3"
    assert texts.speaker("en")("epoch") == "epoch"
