"""The command itself: help, version, exit status, one message."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from run_command import avs

import avs_ros
from avs_ros.cli import main as entry
from avs_ros.errors import ModelError


def test_version_and_help() -> None:
    assert avs("--version").stdout.strip() == f"avs_ros {avs_ros.__version__}"
    done = avs("--help")
    assert done.returncode == 0
    for verb, line in entry.VERBS.items():
        assert verb in done.stdout
        assert line.split()[0] in done.stdout


def test_help_and_version_import_nothing_heavy() -> None:
    code = (
        "import sys\nfrom avs_ros.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'cv2', 'av', 'rosbags', 'rclpy', 'numpy'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", list(entry.VERBS))
def test_every_verb_has_its_file_arguments_and_help(verb: str) -> None:
    parser = entry.build_parser(verb)
    with pytest.raises(SystemExit) as left:
        parser.parse_args([verb, "--help"])
    assert left.value.code == 0
    file = Path(entry.__file__).with_name(f"{verb.replace('-', '_')}.py")
    names = {node.name for node in ast.parse(file.read_text()).body
             if isinstance(node, ast.FunctionDef)}
    assert {"add_arguments", "run"} <= names


def test_no_verb_and_unknown_verb_are_command_line_errors() -> None:
    for arguments in ((), ("nonsense",), ("--nonsense",)):
        done = avs(*arguments)
        assert done.returncode == 2
        assert "usage: avs" in done.stderr


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A verb ``probe`` whose ``run`` the test sets."""
    module = SimpleNamespace(add_arguments=lambda parser: None, run=lambda args: 0)
    monkeypatch.setitem(entry.VERBS, "probe", "a probe")
    monkeypatch.setitem(sys.modules, "avs_ros.cli.probe", module)
    return module


def test_exit_status(verb: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    def fails_with(error: BaseException) -> int:
        def run(args: object) -> int:
            raise error

        verb.run = run
        return entry.main(["probe"])

    verb.run = lambda args: 1
    assert entry.main(["probe"]) == 1
    verb.run = lambda args: None
    assert entry.main(["probe"]) == 0
    assert fails_with(ModelError("no model 'x'; known: y")) == 2
    assert capsys.readouterr().err == "avs probe: no model 'x'; known: y\n"
    assert fails_with(KeyboardInterrupt()) == 130
    assert fails_with(entry.Terminated()) == 143
    assert capsys.readouterr().err == "avs probe: interrupted\n"
    assert fails_with(OSError(28, "No space left on device", "/data/out")) == 2
    assert capsys.readouterr().err == "avs probe: /data/out: No space left on device\n"
    with pytest.raises(OSError, match="Input/output"):
        fails_with(OSError(5, "Input/output error"))
    with pytest.raises(ZeroDivisionError):
        fails_with(ZeroDivisionError())


def test_traceback_on_request(verb: SimpleNamespace) -> None:
    def run(args: object) -> int:
        raise ModelError("no")

    verb.run = run
    with pytest.raises(ModelError):
        entry.main(["--traceback", "probe"])


def test_sigterm_unwinds_and_the_handler_is_given_back(verb: SimpleNamespace) -> None:
    before = signal.getsignal(signal.SIGTERM)
    left = []

    def run(args: object) -> int:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            left.append(True)
        return 0

    verb.run = run
    assert entry.main(["probe"]) == 143
    assert left == [True]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m avs_ros.cli --help | head -1", shell=True, capture_output=True,
        text=True, check=False,
    )
    assert done.stdout.startswith("usage: avs")
    assert "Traceback" not in done.stderr
