"""Files that take long are begun first, or one of them is all that runs at the end."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]
FILES = {
    "test_a_short": "def test_it(): pass",
    "test_b_process": "import pytest\ndef test_other(): pass\n@pytest.mark.process\ndef test_it(): pass",
    "test_c_load": "import pytest\n@pytest.mark.process\ndef test_other(): pass\n@pytest.mark.load\ndef test_it(): pass",
    "test_d_browser": "import pytest\n@pytest.mark.browser\ndef test_it(): pass",
    "test_e_short": "def test_it(): pass",
}


def test_browsers_come_first_then_deadlines_then_processes(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("from tests.conftest import *\n")
    pytester.makepyfile(**FILES)
    said = pytester.runpytest_inprocess("--collect-only", "-q").stdout.lines
    files = dict.fromkeys(line.split(".py::")[0] for line in said if ".py::" in line)
    assert list(files) == ["test_d_browser", "test_c_load", "test_b_process", "test_a_short", "test_e_short"]
    assert sum(".py::" in line for line in said) == 7
