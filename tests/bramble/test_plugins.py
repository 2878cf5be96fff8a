"""What other packages offer by entry points: one sentence for what is wrong with any of it, and nothing for whoever did not ask."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bramble.simulation import places
from bramble_client.hal import catalogue
from bramble_protocol.errors import BrambleError
from bramble_server import tasks
from bramble_server.learning import strategies
from tests.edge_client.plugin import install

MANIFEST = tasks.load("climate").manifest
KINDS: dict[str, tuple[str, Callable[[str], object]]] = {
    "strategies": ("strategy: 'mine'", strategies.kind),
    "tasks": ("task: 'mine'", tasks.find),
    "sensors": ("sensor 'mine'", catalogue.driver),
    "chips": ("simulated chip 'mine'", catalogue.chip),
    "readings": ("data: mine", lambda name: places.read(name, MANIFEST)),
}
"""By the name of a group: how a sentence about it begins, and what asks for it by name."""


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install a third party's package that offers ``mine`` in a group."""

    def into(group: str, module: str, package: str = "radon-plugin") -> None:
        monkeypatch.syspath_prepend(install(tmp_path / package, module, package, **{group: "mine = radon_plugin:Mine"}))
        importlib.invalidate_caches()

    return into


@pytest.mark.parametrize("group", KINDS)
@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit('out')", "SystemExit: out"),
        ("raise ValueError('a\\n  b')", "ValueError: a b"),
        ("", "AttributeError: module 'radon_plugin' has no attribute 'Mine'"),
    ],
)
def test_one_that_does_not_import_is_a_sentence_that_names_its_package(
    plug: Callable[..., None], group: str, module: str, why: str
) -> None:
    plug(group, module)
    what, ask = KINDS[group]
    with pytest.raises(BrambleError) as refused:
        ask("mine")
    assert str(refused.value) == f"{what} of radon-plugin 1.0 does not import ({why}); repair or remove that package"


@pytest.mark.parametrize("group", KINDS)
def test_two_packages_that_offer_one_name_are_both_named_and_neither_is_imported(plug: Callable[..., None], group: str) -> None:
    plug(group, "raise SystemExit")
    plug(group, "raise SystemExit", "radon-too")
    what, ask = KINDS[group]
    with pytest.raises(BrambleError) as refused:
        ask("mine")
    assert str(refused.value) == f"{what} is offered by radon-plugin 1.0 and radon-too 1.0; remove all but one of them"
    assert "radon_plugin" not in sys.modules
