"""A server that takes clients of release 0.1 and of this one, side by side."""

from __future__ import annotations

from collections.abc import Callable

from tests.server.pi import Pi, hello, update
from tests.server.process import ServerProcess
from tests.waiting import wait_for

ASKED = {"round", "task", "graph", "layout", "encoding", "reply_encoding", "weights", "config"}
CONFIG = {"epochs", "batch_size", "learning_rate", "seed", "proximal_mu", "deadline_s"}
"""What a client of version 1 is sent, and refuses anything beyond."""


def test_both_versions_train_in_one_round_and_the_older_is_sent_its_own_fields_alone(
    server: ServerProcess, join: Callable[..., Pi]
) -> None:
    old, new = join("pi-old"), join("pi-new", auth=hello("pi-new", protocol=2, features=["anything"], instance="ab12"))
    shown = server.api.clients()
    assert (shown["pi-old"]["protocol"], shown["pi-new"]["protocol"]) == (1, 2)
    number = server.api.start()["round"]
    asked = old.next("client_update")
    assert (set(asked), set(asked["config"])) == (ASKED, CONFIG)
    server.api.generate(1)
    assert set(old.next("generate_data")) == {"cycle", "t", "step", "count"}
    for pi in (old, new):
        assert pi.call("training_complete", update(number)) == {"accepted": True}
    wait_for(lambda: server.api.status()["round"] == number, "the commit")
    server.api.reset()
    assert old.next("reset") == {}
