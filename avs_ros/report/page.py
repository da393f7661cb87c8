"""The frame of every report: one HTML file with its style and images inside it.

What a page shows is in ``templates``; the modules beside this one say what there is to show.
"""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import avs_ros
from avs_ros.errors import optional

if TYPE_CHECKING:
    from jinja2 import Environment


def short(model: str) -> str:
    """A model's name for a heading: a checkpoint's path without folder and suffix."""
    return Path(model).stem


def render(template: str, title: str, **values: Any) -> str:
    """A whole HTML document from a file of ``templates``; text in ``values`` is escaped."""
    page = _environment().get_template(template)
    return page.render(title=title, version=avs_ros.__version__, **values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    jinja2 = optional("jinja2", "a report")
    made: Environment = jinja2.Environment(
        loader=jinja2.PackageLoader("avs_ros.report"),
        autoescape=jinja2.select_autoescape(("html",)),
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    # An image travels inside the page.
    made.filters["data_uri"] = lambda jpeg: f"data:image/jpeg;base64,{b64encode(jpeg).decode()}"
    return made
