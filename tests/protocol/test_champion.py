"""The best model so far goes beside the one to train, to clients that know what it is for, and to nobody else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bramble_protocol import messages as m
from bramble_protocol import sections
from bramble_protocol.errors import ProtocolError
from bramble_protocol.features import CHAMPION, FEATURES, SECTIONS
from tests.protocol.test_extras import ALL, PLAIN, WEIGHTS

BEST = WEIGHTS + 9
ASKED = replace(PLAIN, champion=m.Champion(4, BEST))


@pytest.mark.parametrize("encoding", ["float32", "float16"])
def test_it_comes_through_beside_whatever_else_is_asked(encoding: str) -> None:
    for asked in (ASKED, replace(ASKED, extras=ALL)):
        found = m.ClientUpdate.from_wire(replace(asked, encoding=encoding).to_wire(FEATURES))
        assert found.champion
        assert found.champion.round == 4
        np.testing.assert_array_equal(found.champion.weights, BEST)
        np.testing.assert_array_equal(found.best, BEST)
        assert found.model == asked.digest if encoding == "float32" else found.model
        assert found.extras.features == asked.extras.features


@pytest.mark.parametrize("features", [(), (SECTIONS,), (CHAMPION,), tuple(name for name in FEATURES if name != CHAMPION)])
def test_a_client_that_does_not_know_it_is_sent_what_it_was_sent_before(features: tuple[str, ...]) -> None:
    assert ASKED.to_wire(features) == PLAIN.to_wire(features)


def test_a_client_that_knows_it_is_sent_it_though_it_lacks_another_feature() -> None:
    wire = replace(ASKED, extras=ALL).to_wire((SECTIONS, CHAMPION))
    assert list(sections.unpack(wire["weights"], ["weights", CHAMPION])) == ["weights", CHAMPION]
    assert wire["champion"] == 4
    assert "steps" not in wire


def test_without_one_the_model_to_train_is_the_best() -> None:
    found = m.ClientUpdate.from_wire(PLAIN.to_wire(FEATURES))
    assert found.champion is None
    np.testing.assert_array_equal(found.best, WEIGHTS)


@pytest.mark.parametrize(
    ("asked", "change", "said"),
    [
        (ASKED, {"champion": 0}, "champion"),
        (ASKED, {"champion": "4"}, "champion"),
        (PLAIN, {"champion": 4}, "champion: the request has no section of that name"),
    ],
)
def test_a_bad_one_is_refused_by_name(asked: m.ClientUpdate, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        m.ClientUpdate.from_wire(asked.to_wire(FEATURES) | change)


def test_a_section_that_no_field_explains_is_refused() -> None:
    wire = ASKED.to_wire(FEATURES)
    del wire["champion"]
    with pytest.raises(ProtocolError, match=r"sections\.champion: the request has no field champion"):
        m.ClientUpdate.from_wire(wire)
