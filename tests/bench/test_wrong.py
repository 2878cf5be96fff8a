from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# In a process of its own, for a benchmark that boots hosts finds the tests' modules by itself.
MISSING = """
from pathlib import Path
from bench.wrong import WRONGS
for wrong in WRONGS:
    for path, (old, new) in wrong.edits.items():
        text = Path(path).read_text() if Path(path).is_file() else ""
        if old not in text:
            print(f"{wrong.what}: {path} has not {old!r}")
        else:
            compile(text.replace(old, new, 1), path, "exec")
"""


def test_what_is_made_wrong_is_in_the_sources_and_runs() -> None:
    said = subprocess.run([sys.executable, "-c", MISSING], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
