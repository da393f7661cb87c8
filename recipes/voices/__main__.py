"""Speak and meow what the demo and the generated composites need, into one file of the package."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from avs_ros.media.scene import VOICES
from recipes.voices.phones import Samples, meow, say

HELLO = "h @ l o: . k ae: n j u h i: r m i"
OVER_HERE = "a: i m o: v er h i: r . l u: k a t m i:"
CAT_AGAIN = "n a u D @ k ae: t a g e: n"
# Pitch and seconds of the demo's meows.
MEOWS = (
    (1.0, 0.72), (1.06, 0.66), (0.97, 0.8), (1.03, 0.72), (1.04, 0.72), (0.96, 0.8), (1.05, 0.66),
    (1.0, 0.72),
)


def voices() -> dict[str, Samples]:
    """Name -> samples ``[n]`` at 32 kHz, dry, peak about 1; the same each time."""
    said = {
        f"sentence {n}": say(phones, n)
        for n, phones in enumerate((HELLO, OVER_HERE, CAT_AGAIN, HELLO), 1)
    }
    demo = {f"demo meow {n}": meow(n, *how) for n, how in enumerate(MEOWS, 1)}
    plain = {f"meow {n}": meow(n, 1 + 0.04 * (n - 2)) for n in range(1, 4)}
    return {**said, **demo, **plain}


def packed(samples: Samples) -> NDArray[np.int16]:
    """As the file keeps them: 32000 is 1, for peaks a little above it."""
    return np.asarray(np.rint(samples * 32000), np.int16)


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(prog="python -m recipes.voices", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=VOICES)
    path = parser.parse_args().output
    made = {name: packed(samples) for name, samples in voices().items()}
    save_file(made, path, {"licence": "Apache-2.0", "made_by": "python -m recipes.voices"})
    print(f"{path}: {len(made)} sounds, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
