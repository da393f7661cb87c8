"""How an AVSC is built, as plain values that a file can hold, and the ready configurations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from avs_ros.errors import ModelError


@dataclass(frozen=True)
class AVSCConfig:
    """``categories``: names of the K things that may sound.  ``sound_classes``: names of what is
    heard, ``sound_class_category`` the category that makes each (several sound classes may share
    one; without sound classes every category is its own).

    ``visual``, ``audio``: names of the networks.  ``image_size``: side of the square frames, px.
    ``folded``: their batch norm is part of the convolutions.  ``class_rows``: rows of the visual
    class head, and ``members`` for each category the rows that show it; 0 and () do without
    class evidence.  ``query_category``: for each of the N queries the category it starts from,
    -1 for none.  ``channels``, ``layers``, ``heads``, ``feedforward``: of the transformer decoder;
    ``memory_levels``: levels of the pyramid it attends to, stride 32 first.  ``separable``:
    depthwise separable convolutions in the pixel decoder.
    Raises ModelError for values that do not fit together.
    """

    categories: tuple[str, ...]
    sound_classes: tuple[str, ...] = ()
    sound_class_category: tuple[int, ...] = ()
    visual: str = "mobilenetv2_100"
    audio: str = "efficientat_mn04"
    image_size: int = 224
    folded: bool = False
    class_rows: int = 0
    members: tuple[tuple[int, ...], ...] = ()
    query_category: tuple[int, ...] = (-1,) * 32
    channels: int = 64
    layers: int = 3
    heads: int = 4
    feedforward: int = 192
    memory_levels: int = 2
    separable: bool = True

    def __post_init__(self) -> None:
        """Check, and give every category its own sound class where none is named."""
        count = len(self.categories)
        if not self.sound_classes:
            object.__setattr__(self, "sound_classes", self.categories)
            object.__setattr__(self, "sound_class_category", tuple(range(count)))
        problems = (
            (not count, "there is no category"),
            (len(set(self.categories)) != count, "two categories have the same name"),
            (
                len(self.sound_class_category) != len(self.sound_classes),
                "sound_class_category: one per sound class",
            ),
            (
                any(not 0 <= k < count for k in self.sound_class_category),
                "sound_class_category: 0..K-1",
            ),
            (not self.query_category, "there is no query"),
            (any(not -1 <= k < count for k in self.query_category), "query_category: -1..K-1"),
            (bool(self.members) != bool(self.class_rows), "members go with class_rows"),
            (bool(self.members) and len(self.members) != count, "members: one per category"),
            (self.layers < 1, "layers: at least 1"),
            (self.channels % 8 or self.channels % self.heads, "channels: in eights and in heads"),
            (not 1 <= self.memory_levels <= 4, "memory_levels: 1..4"),
        )
        for wrong, description in problems:
            if wrong:
                raise ModelError(f"this AVSC cannot be built: {description}")

    def values(self) -> dict[str, Any]:
        """Plain values; :meth:`of` makes the same configuration of them."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> AVSCConfig:
        """From :meth:`values`, also after JSON.  Raises TypeError for unknown names."""
        made: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v
            for name, v in values.items()
        }
        made["members"] = tuple(tuple(rows) for rows in values.get("members", ()))
        return cls(**made)

    def with_(self, **changes: Any) -> AVSCConfig:
        """A copy with other values."""
        return replace(self, **changes)


# Categories of which an image often shows several, and how many further queries start from each.
_SEVERAL = {"person": 5, "dog": 2, "car": 2, "bird": 1, "cat": 1, "boat": 1, "sheep": 1}
_FREE = 2
_FULL = dict(
    query_category=(-1,) * 100,
    channels=256,
    layers=6,
    heads=8,
    feedforward=1024,
    memory_levels=3,
    separable=False,
    audio="beats",
)
_NETWORKS: dict[str, dict[str, Any]] = {
    "avsc_light": {"visual": "mobilenetv2_100", "folded": True},
    "avsc_pvt": {"visual": "pvt_v2_b5", **_FULL},
    "avsc_swin": {"visual": "swin_base_patch4_window7_224", **_FULL},
}
CONFIGURATIONS = tuple(_NETWORKS)


def configuration(
    name: str, members: Sequence[Sequence[int]] = (), class_rows: int = 0
) -> AVSCConfig:
    """A ready configuration: "avsc_light" (29 categories), "avsc_pvt" or "avsc_swin" (AVSS's 70).

    ``members``, ``class_rows``: class evidence of the light one.  Any value may be changed with
    :meth:`AVSCConfig.with_`.  Raises ModelError for an unknown name.
    """
    if name not in _NETWORKS:
        raise ModelError(f"unknown AVSC {name!r}; known: {', '.join(CONFIGURATIONS)}")
    from avs_ros.models.avsc.categories import category_set

    light = name == "avsc_light"
    known = category_set("light" if light else "avss")
    values: dict[str, Any] = {
        "categories": known.categories, "sound_classes": known.sound_classes,
        "sound_class_category": known.sound_class_category, **_NETWORKS[name],
    }  # fmt: skip
    if light:
        values["query_category"] = light_queries(known.categories)
        values["members"] = tuple(tuple(int(row) for row in rows) for rows in members)
        values["class_rows"] = class_rows
    return AVSCConfig(**values)


def light_queries(categories: Sequence[str]) -> tuple[int, ...]:
    """Each category once, further queries for what comes in groups, and a few free ones."""
    several = [
        categories.index(name)
        for name, count in _SEVERAL.items()
        if name in categories
        for _ in range(count)
    ]
    return (*range(len(categories)), *several, *(-1,) * _FREE)
