"""Whatever stands in a block of the manual is what its language takes, and each command, verb and flag in it exists."""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from typer.core import TyperGroup
from typer.main import get_command

from bramble import cli
from bramble_client.commands import sensors
from tests.docs.test_files import PAGES
from tests.pasted import ROOT

BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.M | re.S)
SHELL = ("", "sh", "console")
WORD = r"(?<![\w./-])(?:\S*/bin/)?bramble(?= [a-z])"
READERS: dict[str, Callable[[str], Any]] = {
    "python": ast.parse,
    "py": ast.parse,
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": lambda text: list(yaml.safe_load_all(text)),
}
BRAMBLE, SENSORS = get_command(cli.app), get_command(sensors.app)
MANUAL = [page for page in PAGES if page.startswith(("docs/", "README", "bench/README", "CONTRIBUTING"))]


def blocks(page: str) -> Iterator[tuple[str, str]]:
    for indent, language, body in BLOCK.findall((ROOT / page).read_text("utf-8")):
        yield language, re.sub(rf"^{indent}", "", body, flags=re.M)


def commands(page: str) -> Iterator[str]:
    """Yield every command of Bramble's that stands in a shell's block, or alone between backticks."""
    text = (ROOT / page).read_text("utf-8")
    shown = [re.sub(r"\\\n", " ", body) for language, body in blocks(page) if language in SHELL]
    inline = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", BLOCK.sub("", text))
    for line in [line for body in shown for line in body.splitlines()] + inline:
        for found in re.finditer(WORD, line.partition(" # ")[0] if not line.startswith("#") else ""):
            yield line[found.end() :].partition(" # ")[0]


def wrong(line: str) -> str | None:
    """Say what of a command there is not."""
    words = [word for word in shlex.split(re.split(r"[|;&>…]|\.\.\.", line)[0].replace("'", " ").replace('"', " "))]
    command: Any = BRAMBLE
    while words and isinstance(command, TyperGroup) and not words[0].startswith("-"):
        name = words.pop(0)
        if not re.fullmatch("[a-z-]+", name):
            return None  # a placeholder
        if name not in command.commands:
            return f"bramble {name}"
        command = SENSORS if name == "sensors" else command.commands[name]
    flags = {"--help", *(flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts))}
    return next((word for word in words if re.match("--[a-z]", word) and word.partition("=")[0] not in flags), None)


@pytest.mark.parametrize("page", MANUAL)
def test_each_block_is_what_its_language_takes(page: str) -> None:
    for language, body in blocks(page):
        if language in READERS:
            try:
                READERS[language](body)
            except Exception as error:
                pytest.fail(f"{error} in:\n{body}")


@pytest.mark.parametrize("page", [page for page in MANUAL if page != "docs/protocol.md"])  # where what is signed begins like a command
def test_each_command_and_flag_in_it_exists(page: str) -> None:
    assert [(line, found) for line in commands(page) if (found := wrong(line))] == []
