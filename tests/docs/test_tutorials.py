"""The tutorials, followed to the letter: what they have one type is pasted at a terminal, what they show is said, but for its figures."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.steps import like, steps
from tests.terminal import terminal


@pytest.mark.slow
@pytest.mark.parametrize("page", ["first-hour", "three-strategies"])
def test_a_tutorial_does_and_says_what_stands_in_it(page: str, tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    with terminal("bash", tmp_path) as person:
        for number, (typed, shown) in enumerate(steps(f"docs/{page}.md")):
            person.paste(f"{typed}echo step-$(({number}))-done\n")
            for line in shown:
                person.read(like(line))
            person.read(f"step-{number}-done")
        assert not re.search("Traceback|command not found| ERROR |Usage:", person.shown), person.shown
