"""Hook of mkdocs: pages of the site that stand in the repository's root keep their links."""

from __future__ import annotations

import re
from typing import Any

# Page of the site -> the file in the root that it shows, and the way from the page to docs/.
ROOT_PAGES = {
    "contributing.md": ("CONTRIBUTING.md", ""),
    "research/model_card.md": ("MODEL_CARD.md", "../"),
}


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The file's text, links into docs/ made relative to the page."""
    shown = ROOT_PAGES.get(page.file.src_uri)
    if shown is None:
        return markdown
    name, up = shown
    with open(name, encoding="utf-8") as file:
        return re.sub(r"\]\(docs/", f"]({up}", file.read())
