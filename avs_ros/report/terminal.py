"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any


def show_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], words: Collection[int] = (0,),
    whole: Collection[int] = (0,), airy: bool = False, last: bool = False, **style: Any,
) -> None:
    """Print a table: columns but ``words`` hold numbers, those in ``whole`` never break.

    ``airy``: without a frame; ``last``: with a line before the last row; ``style``: further
    arguments of ``rich.table.Table``.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    if airy:
        style |= {"box": SIMPLE_HEAD, "padding": (0, 1, 0, 0), "pad_edge": False}
    table = Table(**style)
    for number, name in enumerate(head):
        justify: Any = "left" if number in words else "right"
        table.add_column(name, justify=justify, no_wrap=number in whole)
    for row in rows:
        table.add_row(*row)
    if last and len(table.rows) > 1:
        table.rows[-2].end_section = True
    Console().print(table)
