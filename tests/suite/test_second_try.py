"""Who gets a second try: what is marked as depending on the machine's load, and nobody else."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]
ONCE = """
import pytest
tries = []

{mark}
def test_it():
    tries.append(1)
    assert len(tries) == {good}, "a seed of 4711"
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest("from tests.conftest import pytest_collection_modifyitems, pytest_configure\n")
    return pytester


def test_a_test_that_depends_on_the_load_gets_one_more_try_and_its_first_failure_is_said_at_the_end(run: pytest.Pytester) -> None:
    run.makepyfile(ONCE.format(mark="@pytest.mark.load", good=2))
    result = run.runpytest_inprocess()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*rerun test summary*", "RERUN *test_it*", "*a seed of 4711*", "*1 passed*1 rerun*"])


def test_any_other_test_that_fails_has_failed(run: pytest.Pytester) -> None:
    run.makepyfile(ONCE.format(mark="", good=2))
    run.runpytest_inprocess().assert_outcomes(failed=1)


def test_a_fault_fails_twice(run: pytest.Pytester) -> None:
    run.makepyfile(ONCE.format(mark="@pytest.mark.load", good=0))
    result = run.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*1 failed*1 rerun*"])
