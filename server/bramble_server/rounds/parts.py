"""What is known of a client's part in a round, as history and pages have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bramble_server.store.schema import MEASURES


def blank(**known: Any) -> dict[str, Any]:
    """Return a part of which no more than this is known."""
    return {**dict.fromkeys((*MEASURES, "reason")), **known}


def answered(about: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part once its update came.

    Parameters
    ----------
    about
        What the round's file says of the update.
    before
        The part until then.
    """
    told = ("loss_before", "loss_after", "test_error", "test_baseline", "test_samples")
    return blank(
        sent=before["sent"],
        asked=before["asked"],
        **about["timing"],
        replied=about["replied"],
        bytes=about["bytes"],
        samples=about["samples"],
        **{name: about["metrics"].get(name) for name in told},
    )
