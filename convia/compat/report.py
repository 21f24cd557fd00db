"""What was translated while a program ran, in one line."""

_notes: dict[str, int] = {}


def note(old: str, new: str = "") -> None:
    """Remember a translation: ``lr → learning_rate``; without ``new``, that something was left out."""
    text = f"{old} → {new}" if new else f"{old} left out"
    _notes[text] = _notes.get(text, 0) + 1


def notes() -> dict[str, int]:
    """Return the translations so far and how often each was made."""
    return dict(_notes)


def clear() -> None:
    """Forget the translations."""
    _notes.clear()


def line(era: str) -> str:
    """Return the report, empty if nothing was translated."""
    if not _notes:
        return ""
    parts = [text if count == 1 else f"{text} ({count}×)" for text, count in _notes.items()]
    return f"convia ran this {era} program and translated: {', '.join(parts)}"
