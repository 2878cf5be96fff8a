"""What is offered to somebody who wrote a name that there is not."""

from __future__ import annotations

import pytest

from bramble_protocol.nearest import nearest

KNOWN = ("learning_rate", "batch_size", "tau", "least-recent")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("learning_rte", "learning_rate"), ("lr", "learning_rate"), ("LR", "learning_rate"), ("bs", "batch_size"), ("ta", "tau"),
        ("lr2", None), ("l", None), ("momentum", None), ("", None),
    ],
)  # fmt: skip
def test_what_is_alike_or_has_it_for_its_initials_is_offered(name: str, meant: str | None) -> None:
    assert nearest(name, KNOWN) == meant
