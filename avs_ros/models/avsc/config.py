"""How an AVSC is built, as plain values that a file can hold, and the ready configurations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from avs_ros.errors import ModelError


@dataclass(frozen=True)
class AVSCConfig:
    """``categories``: names of the K things that may sound.  ``sound_classes``: names of what is
    heard, ``sound_class_category`` the category that makes each (several sound classes may share
    one; without sound classes every category is its own).

    ``visual``, ``audio``: names of the networks.  ``image_size``: side of the square frames, px.
    ``folded``: their batch norm is part of the convolutions.  ``queries``: N.  ``channels``,
    ``layers``, ``heads``, ``feedforward``: of the transformer decoder;
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
    queries: int = 32
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
        pointed = self.sound_class_category
        problems = (
            (not count, "there is no category"),
            (len(set(self.categories)) != count, "two categories have the same name"),
            (len(pointed) != len(self.sound_classes), "sound_class_category: one per sound class"),
            (any(not 0 <= k < count for k in pointed), "sound_class_category: 0..K-1"),
            (self.queries < 1, "there is no query"),
            (self.layers < 1, "layers: at least 1"),
            (self.channels % 8 or self.channels % self.heads, "channels: in eights and in heads"),
            (not 1 <= self.memory_levels <= 4, "memory_levels: 1..4"),
        )
        for wrong, description in problems:
            if wrong:
                raise ModelError(f"this AVSC cannot be built: {description}")

    @classmethod
    def of(cls, values: dict[str, Any]) -> AVSCConfig:
        """From its values as a dictionary, also after JSON.  Raises TypeError for unknown names.

        Files of 0.2 named a category for each query, and the class rows of a light form that is
        no more; without those they are read.
        """
        made: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in values.items()
        }
        if "query_category" in made:
            made["queries"] = len(made.pop("query_category"))
        for gone in ("class_rows", "members"):
            if gone in made and not made[gone]:
                del made[gone]
        return cls(**made)

    def with_(self, **changes: Any) -> AVSCConfig:
        """A copy with other values."""
        return replace(self, **changes)


# Ready configuration -> its visual network.
CONFIGURATIONS = {"avsc_pvt": "pvt_v2_b5", "avsc_swin": "swin_base_patch4_window7_224"}


def configuration(name: str) -> AVSCConfig:
    """A ready configuration: "avsc_pvt" or "avsc_swin", AVSS's 70 categories.

    Any value may be changed with :meth:`AVSCConfig.with_`.  Raises ModelError for an unknown name.
    """
    if name not in CONFIGURATIONS:
        raise ModelError(f"unknown AVSC {name!r}; known: {', '.join(CONFIGURATIONS)}")
    from avs_ros.models.avsc.categories import category_set

    known = category_set("avss")
    return AVSCConfig(
        categories=known.categories,
        sound_classes=known.sound_classes,
        sound_class_category=known.sound_class_category,
        visual=CONFIGURATIONS[name],
        audio="beats",
        queries=100,
        channels=256,
        layers=6,
        heads=8,
        feedforward=1024,
        memory_levels=3,
        separable=False,
    )
