"""The tutorial of a model of one's own, followed to the letter: this environment exports, and the project's runs server and clients."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="exporting needs TensorFlow; run: make test-authoring")

from tests.pasted import ROOT, paste
from tests.steps import like, steps


@pytest.mark.skipif(not (ROOT / ".venv/bin/bramble").exists(), reason="the fleet runs in the project's environment; run: make demo")
def test_a_model_of_ones_own_is_learnt_as_the_tutorial_says(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / ".venv-authoring").symlink_to(Path(sys.executable).parents[1])
    typed = steps("docs/your-own-model.md")
    said = paste("\n".join(f"{lines}\necho step-$(({number}))-done" for number, (lines, _) in enumerate(typed)), tmp_path, within=280)
    assert f"step-{len(typed) - 1}-done" in said, said
    for number, (_, shown) in enumerate(typed):
        part = said.partition(f"step-{number}-done")[0].rpartition(f"step-{number - 1}-done")[2]
        for line in shown:
            assert re.search(like(line), part), f"{line!r} was not said:\n{part}"
    assert not re.search("Traceback|command not found| ERROR |Usage:", said), said
