"""Choosing parameter names by prefix and depth, as ``ListParameters`` asks for it."""

from __future__ import annotations

from .parameter import PARAMETER_SEPARATOR_STRING as SEPARATOR

DEPTH_RECURSIVE = 0


def select_names(
    names: list[str], prefixes: list[str], depth: int
) -> tuple[list[str], list[str]]:
    """Give the names that fit, and the prefixes that occur among them.

    ``prefixes`` empty: all names; ``depth`` limits the levels below the prefix (0: no limit).
    Raises ``TypeError`` and ``ValueError`` for arguments of the wrong type or a negative depth.
    """
    if not isinstance(prefixes, list):
        raise TypeError("The prefixes argument must be a list")
    if not all(isinstance(prefix, str) for prefix in prefixes):
        raise TypeError("All prefixes must be instances of type str")
    if not isinstance(depth, int):
        raise TypeError("The depth must be instance of type int")
    if depth < 0:
        raise ValueError("The depth must be greater than or equal to zero")

    def shallow(rest: str) -> bool:
        return depth == DEPTH_RECURSIVE or rest.count(SEPARATOR) < depth

    def wanted(name: str) -> bool:
        if not prefixes:
            return shallow(name)
        return any(
            name == prefix
            or (name.startswith(prefix + SEPARATOR) and shallow(name[len(prefix) + 1:]))
            for prefix in prefixes
        )

    chosen = [name for name in names if wanted(name)]
    parents = [name.rpartition(SEPARATOR)[0] for name in chosen if SEPARATOR in name]
    return chosen, list(dict.fromkeys(parents))
