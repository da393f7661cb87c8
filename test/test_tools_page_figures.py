"""What commands print stands in the page beside them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PAGE = """# Page

    avs labels --help
    avs info

Words.

```
old
```

    avs weights list

No block: this one belongs to nobody.

    avs info --json

```
older
```
"""


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    path = Path(__file__).parents[1] / "tools" / "page_figures.py"
    spec = importlib.util.spec_from_file_location("page_figures", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_block_belongs_to_the_command_above_it(tool: ModuleType) -> None:
    assert tool.commands(PAGE) == ["avs info", "avs info --json"]
    changed = tool.with_figures(PAGE, {"avs info": "new \nfigures\n", "avs weights list": "x"})
    assert changed == PAGE.replace("old\n", "new\nfigures\n")


def test_a_command_runs_on_the_data_folder_in_a_folder_of_its_own(
    tool: ModuleType, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with pytest.raises(tool.subprocess.CalledProcessError):
        tool.run("avs evaluate clips DIR/none", data, tmp_path)
    assert "avs labels nearest" in tool.run("avs labels nearest --help", data, tmp_path)
