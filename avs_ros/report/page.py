"""The frame of every report: one HTML file with its style and images inside it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import avs_ros

STYLE = """
:root { color-scheme: light dark;
  --paper: #f6f7f9; --card: #ffffff; --ink: #1b1f27; --soft: #5d6675; --line: #dfe3ea;
  --accent: #0b6bcb; --fill: #0b6bcb22; --level: #2a9d6f; --levelfill: #2a9d6f33;
  --warn: #b4540a; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171c; --card: #1d2128; --ink: #e8ebf0; --soft: #9aa4b4; --line: #323945;
  --accent: #5aa9ff; --fill: #5aa9ff26; --level: #4fd0a0; --levelfill: #4fd0a030;
  --warn: #ffb27a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 2px; }
h2 { font-size: 17px; margin: 0 0 10px; }
p { margin: 4px 0 10px; } .soft { color: var(--soft); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 16px 18px; margin: 16px 0; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px;
  margin: 16px 0; }
.figure { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 10px 14px; }
.figure b { display: block; font-size: 22px; font-weight: 650;
  font-variant-numeric: tabular-nums; }
.figure span { color: var(--soft); font-size: 13px; }
.columns { display: grid; gap: 16px; margin: 16px 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); }
.columns section { margin: 0; min-width: 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
td, th { text-align: left; padding: 4px 10px 4px 0; border-top: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
tr:first-child td, tr:first-child th { border-top: 0; }
th { font-weight: 500; color: var(--soft); width: 42%; }
.grid th { width: auto; }
.grid td, .grid thead th { text-align: right; white-space: nowrap; padding-left: 10px; }
.grid th:first-child { text-align: left; padding-left: 0; }
.grid td.words, .grid th.words { text-align: left; white-space: normal; }
section { overflow-x: auto; }
.moments { display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); }
.moments.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 480px), 1fr)); }
.moments figure { margin: 0; } .moments img { width: 100%; display: block; border-radius: 7px; }
figcaption { font-size: 13px; color: var(--soft); padding-top: 3px; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--soft); font-size: 12px; font-family: inherit; }
svg .rule { stroke: var(--line); stroke-width: 1; fill: none; }
svg .curve { stroke: var(--accent); stroke-width: 1.6; fill: none; stroke-linejoin: round; }
svg .under { fill: var(--fill); } svg .bar { fill: var(--accent); }
svg .level { fill: var(--levelfill); stroke: var(--level); stroke-width: 1.2; }
svg .limit { stroke: var(--warn); stroke-dasharray: 5 4; fill: none; }
svg .note { fill: var(--ink); paint-order: stroke; stroke: var(--card); stroke-width: 5px; }
svg .on { fill: #15181d; font-weight: 600; } svg .strong { fill: var(--ink); }
a { color: var(--accent); } footer { color: var(--soft); font-size: 13px; margin-top: 22px; }
"""


def data_uri(data: bytes, kind: str = "image/jpeg") -> str:
    """Bytes as an address, so that the image travels inside the page."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def page(title: str, body: str) -> str:
    """A whole HTML document."""
    return (
        "<!DOCTYPE html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<style>{STYLE}</style></head>\n<body><main>\n{body}\n"
        f"<footer>avs_ros {escape(avs_ros.__version__)}</footer></main></body></html>\n"
    )


def section(title: str, body: str, note: str = "") -> str:
    """A card with a heading; ``body`` is HTML, ``note`` plain text."""
    below = f'<p class="soft">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{body}{below}</section>\n"


def figures(items: Iterable[tuple[str, str]]) -> str:
    """A row of (figure, what it is)."""
    cells = "".join(
        f'<div class="figure"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for value, name in items
    )
    return f'<div class="figures">{cells}</div>\n'


def table(rows: Mapping[str, object]) -> str:
    """Two columns: name, value."""
    cells = "".join(
        f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>"
        for name, value in rows.items()
    )
    return f"<table>{cells}</table>"


def grid(
    head: Sequence[str], rows: Iterable[Sequence[object]], text_columns: Sequence[int] = ()
) -> str:
    """A table with a heading; the first column names the row, ``text_columns`` are columns of
    text.
    """

    def cell(tag: str, column: int, value: object) -> str:
        mark = ' class="words"' if column in text_columns else ""
        return f"<{tag}{mark}>{escape(str(value))}</{tag}>"

    top = "".join(cell("th", i, name) for i, name in enumerate(head))
    body = "".join(
        "<tr>" + "".join(cell("td" if i else "th", i, v) for i, v in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f'<table class="grid"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def columns(*sections: str) -> str:
    """Cards side by side where there is room."""
    return f'<div class="columns">{"".join(sections)}</div>\n'
