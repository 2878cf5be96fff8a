"""The fleet's tests boot whole machines, as root: they run by ``make test-fleet``, and are not collected otherwise."""

from __future__ import annotations

import os

BOOTS = os.environ.get("BRAMBLE_FLEET") == "1"
collect_ignore_glob = [] if BOOTS else ["test_*.py"]


def pytest_report_header() -> str:
    return "fleet: booted hosts" if BOOTS else "fleet: tests/fleet is left out here; it boots machines as root: make test-fleet"
