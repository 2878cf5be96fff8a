"""Which tests `make fast` leaves out: those that start a process, found by what they call or told by the first run."""

from __future__ import annotations

from types import FunctionType

import pytest

from tests import starting

pytest_plugins = ["pytester"]
CONFTEST = "from tests.conftest import *\n"
WAYS = {
    "by itself": "import subprocess\ndef test_it(): subprocess.run(['true'])",
    "by a name of its own": "from subprocess import run\ndef test_it(): run(['true'])",
    "by a function inside it": "import subprocess\ndef test_it(): (lambda: subprocess.run(['true']))()",
    "by an import inside it": "def test_it():\n    import subprocess\n    subprocess.run(['true'])",
    "by a helper": "from tests.pasted import paste\ndef test_it(): paste",
    "by a module of helpers": "from tests import pasted\ndef test_it(): pasted.paste",
    "by a fixture": "import subprocess, pytest\n@pytest.fixture\ndef started(): subprocess.run(['true'])\ndef test_it(started): pass",
    "in a class": "import subprocess\nclass TestIt:\n    def test_it(self): subprocess.run(['true'])",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_test_that_starts_a_process_is_found(way: str, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(WAYS[way])
    pytester.runpytest_inprocess("-m", "not process").assert_outcomes(deselected=1)


def test_any_other_is_not(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("from tests import pasted\ndef test_it(): pasted.script('README.md', 'pi')")
    pytester.runpytest_inprocess("-m", "not process").assert_outcomes(passed=1)


UNSEEN = {
    "by itself": "import os\ndef test_it(): os.system('true')",
    "by a fixture": "import os, pytest\n@pytest.fixture\ndef started(): os.system('true')\ndef test_it(started): pass",
}


@pytest.mark.process
@pytest.mark.parametrize("way", UNSEEN)
def test_one_that_starts_a_process_unseen_fails_with_what_to_do(way: str, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(UNSEEN[way], test_other="def test_other(): pass")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*test_it starts a process (os.system)*@pytest.mark.process*"])


def test_events_at_the_end_of_python_are_no_fault_of_its_audit() -> None:
    emptied = FunctionType(starting.audit.__code__, dict.fromkeys(vars(starting)), argdefs=starting.audit.__defaults__)
    emptied("open", ())  # modules are emptied before the last events come
