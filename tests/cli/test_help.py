"""The command line's own help."""

from __future__ import annotations

import re
import shlex

import pytest

from service.__main__ import parser
from service.observability.telemetry import VERSION
from service.sandbox.__main__ import parser as sandbox_parser

COMMANDS = ("serve", "dev", "check", "mint", "apply", "export")


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        parser().parse_args(arguments)
    assert end.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_examples_that_can_be_run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They are of this command, and it takes their arguments."""
    text = printed([command, "--help"], capsys)
    examples = re.findall(
        rf"^  python -m service ({command}\b[^<>\n]*)", text.partition("examples:\n")[2], re.MULTILINE
    )

    assert examples
    for example in examples:
        assert callable(parser().parse_args(shlex.split(example)).run)


def test_the_sandbox_has_an_example_too() -> None:
    """Its command line is its own."""
    (example,) = re.findall(r"python -m service\.sandbox (.*)", sandbox_parser().format_help().partition("example:")[2])
    assert sandbox_parser().parse_args(shlex.split(example)).latency == 0.2


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The one of ``/version``."""
    assert printed(["--version"], capsys) == f"video-token-service {VERSION}\n"
