"""After all that, on each fleet: nobody's journal holds a traceback, and no unit of ours is left failed. Runs last, by its name."""

from __future__ import annotations

import re

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS, FLEETS
from tests.fleet.fleet import Fleet

TRACE = re.compile(r"Traceback|Segmentation|core dumped|Exception ignored")
MEANT = re.compile(r"ZeroDivisionError: broken|OSError: \[Errno 98\]")
"""How tracebacks end that tests mean: of a release that ``test_releases.py`` broke, of a web server whose port ``test_parts.py`` took."""
LONG = 60
"""Lines that a traceback takes at most, with what is written in between."""


@pytest.fixture(autouse=True, params=FLEETS)
def on(request: pytest.FixtureRequest) -> str:
    """Where there are two, each has its journals; where there is one for all tests it is looked at twice."""
    return str(request.param)


def test_no_journal_holds_a_traceback(fleet: Fleet, api: Api) -> None:
    found = {}
    for host in fleet.hosts.values():
        lines = host.journal("'bramble*'").splitlines()
        begun = [i for i, line in enumerate(lines) if TRACE.search(line) and not any(MEANT.search(later) for later in lines[i : i + LONG])]
        if begun:
            found[host.name] = [lines[max(0, i - 2) : i + LONG] for i in begun]
    assert not found


def test_no_unit_of_ours_is_left_failed_and_everybody_is_there(fleet: Fleet, api: Api) -> None:
    for host in fleet.hosts.values():
        assert host.output("systemctl list-units --failed --no-legend --plain 'bramble*'") == "", host.name
    assert api.connected() == CLIENTS


def test_a_line_of_the_journal_is_one_event(fleet: Fleet, api: Api) -> None:
    lines = fleet["pi-1"].output("journalctl --namespace=bramble --no-pager --output=cat --unit=bramble-client").splitlines()
    ours = [line for line in lines if re.match(r"[A-Z]+ bramble_client|\d{4}-\d\d-\d\d .* (INFO|WARNING|ERROR) ", line)]
    assert ours
