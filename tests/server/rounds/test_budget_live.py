"""A privacy budget over real sockets: what is spent is spent through a kill and a reset, and what is refused says why."""

from __future__ import annotations

import struct
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
SAMPLES = 7919
METRICS = {"loss_before": 31.25, "loss_after": 30.75, "test_error": 0.8125, "test_baseline": 1.625, "test_samples": 131.0}


def played(server: ServerProcess) -> Any:
    """Have two clients answer one round; return what the server says of its budget then."""
    with Pi(server.url, "a", auth=hello("a")) as one, Pi(server.url, "b", auth=hello("b")) as other:
        number = server.api.start()["round"]
        for client in (one, other):
            assert client.call("training_complete", update(number, samples=SAMPLES, metrics=METRICS)) == {"accepted": True}
        assert server.ended(number)["state"] == "committed"
        return server.api.status()["privacy"]


def test_what_is_spent_outlives_a_kill_and_a_reset_and_then_the_round_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, *FLAGS) as server:
        first = played(server)
        assert (first["epsilon"], first["delta"]) == (1.3, 1e-5)
        assert 0.5 < first["spent"] < 1.0
        assert set(server.api.round(1)["metrics"]) == {"relative_error"}, "one mean with noise, and nothing else of what they measured"
        for part in server.api.round(1)["clients"].values():
            known = {name for name, value in part.items() if value is not None}
            assert known <= {"sent", "received", "train_start", "train_end", "replied", "bytes"}
        with pytest.raises(ServerRefused, match="has a privacy budget: what clients would say of models has no noise"):
            server.api.evaluate([1])
        server.kill()
        kept = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()) + server.log().encode()
        for told in (SAMPLES, *METRICS.values()):
            packed = (struct.pack(">d", told), struct.pack("<d", told), str(told).encode(), b"%.4g" % told)
            assert not any(each in kept for each in packed if len(each) > 3), f"{told} is somewhere"
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
