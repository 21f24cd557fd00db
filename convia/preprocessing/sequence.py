"""Sequences."""

from convia.utils.data import pad_sequences

__all__ = ["pad_sequences"]
