"""What Bramble promises in figures, measured: ``python -m bench`` runs all of them, ``python -m bench NAME`` some."""

from __future__ import annotations

import sys
import types
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"

# Some distributions leave a package `tests` in site-packages, which would hide this project's folder of that name.
sys.modules["tests"] = types.ModuleType("tests")
sys.modules["tests"].__path__ = [str(TESTS)]
