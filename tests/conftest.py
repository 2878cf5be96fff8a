"""The browser, for every test that needs one; patience with examples; which tests start processes, and which get a second try."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import starting

with contextlib.suppress(ImportError):  # the environments of the other runtimes have none
    from hypothesis import settings

    # An example that a busy machine delays is no failure: no test asserts a speed.
    settings.register_profile("patient", deadline=None)
    # `make fast` tries a fifth of them, of every test: see tests/examples.py.
    settings.register_profile("fast", deadline=None, max_examples=20)
    settings.load_profile("patient")

# `make test` tells what it is told to every make below it; those that tests start are a user's own.
for name in ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "ARGS"):
    os.environ.pop(name, None)

# Without its bytecode kept, every process of every test compiles all that it imports: half of what it costs to start one.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--host-resolver-rules=MAP *.example 127.0.0.1, MAP hub.local 127.0.0.1",
]  # fmt: skip


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Debian's Chromium with a profile of its own."""
    from playwright.sync_api import expect, sync_playwright  # the environments of the other runtimes have none

    if not CHROMIUM.exists():
        message = f"no browser at {CHROMIUM}: install Debian's chromium to run the browser tests"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    profile = tmp_path_factory.mktemp("chromium")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=FLAGS, viewport={"width": 1400, "height": 1000}
        )
        context.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        yield context
        context.close()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket on which systemd would hear what a service says of itself; no watchdog is asked for."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
            monkeypatch.delenv(name, raising=False)
        yield listener


sys.addaudithook(starting.audit)


def pytest_configure(config: pytest.Config) -> None:
    config.option.rerun_show_tracebacks = True  # what failed at first is said at the end, with all that it said


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    starting.mark(items)
    _longest_first(items)
    for item in items:
        if any(item.iter_markers("load")) and config.pluginmanager.has_plugin("rerunfailures"):
            item.add_marker(pytest.mark.flaky(reruns=1))


def _longest_first(items: list[pytest.Item]) -> None:
    """Put files first that need a browser, then those that meet real deadlines, then others that start processes.

    They take longest, in this order, and what is short fills the gaps at the end.
    """
    kinds = ("browser", "load", "process")
    place: dict[Path, int] = {}
    for item in items:
        own = next((at for at, kind in enumerate(kinds) if item.get_closest_marker(kind)), len(kinds))
        place[item.path] = min(own, place.get(item.path, len(kinds)))
    items.sort(key=lambda item: place[item.path] if item.path.parent.name != "fleet" else 0)  # whose files have an order of their own


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    starting.forget()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    yield
    starting.check(item)
