"""Names that weight files of earlier versions use, and today's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

Value = TypeVar("Value")

# Keys of the metadata, at any depth.
KEYS = {
    "families": "categories",
    "voices": "sound_classes",
    "voice_family": "sound_class_category",
    "voice_category": "sound_class_category",
    "alike": "confusable_groups",
    "lessons": "stages",
    "picture": "image",
}
# First part of a tensor's name.
TENSORS = {"hearing": "audio_encoder"}


def today(value: Any) -> Any:
    """Metadata (what JSON can hold) with today's keys."""
    if isinstance(value, Mapping):
        return {KEYS.get(str(key), str(key)): today(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [today(inner) for inner in value]
    return value


def tensors_of_today(tensors: Mapping[str, Value]) -> dict[str, Value]:
    """Tensors by today's names."""
    return {_tensor(name): tensor for name, tensor in tensors.items()}


def _tensor(name: str) -> str:
    first, dot, rest = name.partition(".")
    return TENSORS.get(first, first) + dot + rest
