"""A privacy budget over real sockets: what is spent is spent through a kill and a reset, and what is refused says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bramble.api import ServerRefused
from tests.server.pi import Pi, hello, update
from tests.server.process import ServerProcess

FLAGS = (
    *("--mode", "private", "--min-updates", "2", "--strategy", "dp", "--strategy-option", "noise_multiplier=5"),
    *("--epsilon", "1.3", "--allow-simulated"),
)


def played(server: ServerProcess) -> Any:
    """Have two clients answer one round; return what the server says of its budget then."""
    with Pi(server.url, "a", auth=hello("a")) as one, Pi(server.url, "b", auth=hello("b")) as other:
        number = server.api.start()["round"]
        assert {one.call("training_complete", update(number))["accepted"], other.call("training_complete", update(number))["accepted"]}
        assert server.ended(number)["state"] == "committed"
        return server.api.status()["privacy"]


def test_what_is_spent_outlives_a_kill_and_a_reset_and_then_the_round_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, *FLAGS) as server:
        first = played(server)
        assert (first["epsilon"], first["delta"]) == (1.3, 1e-5)
        assert 0.5 < first["spent"] < 1.0
        server.kill()
    with ServerProcess(tmp_path, *FLAGS) as server:
        assert server.api.status()["privacy"] == first
        server.api.reset()
        assert server.api.status()["privacy"] == first
        second = played(server)
        assert first["spent"] < second["spent"] <= 1.3
        said = r"would bring task small to an epsilon of 1\.\d+, and its budget is 1\.3 .* no reset gives it back"
        with Pi(server.url, "a", auth=hello("a")), Pi(server.url, "b", auth=hello("b")), pytest.raises(ServerRefused, match=said):
            server.api.start()
        assert server.api.status()["privacy"] == second
        assert server.api.status()["running"] is None
