"""Codecs over real sockets: who is asked for what, what a malformed answer costs whom, and what is stored with a round."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bramble_protocol import sections
from bramble_protocol.codecs import encoded_size
from bramble_protocol.features import FEATURES
from bramble_protocol.messages import ClientUpdate, Timing, TrainingComplete
from tests.server.pi import Pi, hello
from tests.server.process import LAYOUT, ServerProcess

HALF = ("--codec", "topk", "--codec-option", "share=0.5")
CODECS = {
    "int8": (("--codec", "int8"), "int8", {}),
    "delta-int8": (("--codec", "delta-int8"), "delta-int8", {}),
    "topk": (HALF, "topk-0.5", {"share": 0.5}),
}
MOVED = np.array([0.5, -0.001, 0.25, 0.002, -1.0, 0.003], np.float32)


def modern(server: ServerProcess, name: str) -> Pi:
    return Pi(server.url, auth=hello(name, protocol=2, features=list(FEATURES)))


def answer(asked: ClientUpdate, moved: np.ndarray = MOVED) -> TrainingComplete:
    metrics = {"loss_before": 2.0, "loss_after": 1.0}
    return TrainingComplete(
        asked.round, LAYOUT, asked.reply_encoding, asked.weights + moved, 10, metrics, Timing(1.0, 2.0, 3.0), seed=str(asked.round)
    )


def test_what_is_chosen_is_asked_of_those_who_can_and_stored_and_shown(tmp_path: Path) -> None:
    for number, (name, (flags, encoding, parameters)) in enumerate(CODECS.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        with ServerProcess(folder, *flags) as server, modern(server, "pi-1") as able, Pi(server.url, "pi-2") as former:
            started = server.api.start()["round"]
            asked, plain = (ClientUpdate.from_wire(pi.next("client_update")) for pi in (able, former))
            assert (asked.reply_encoding, plain.reply_encoding) == (encoding, "float32")
            for pi, question in ((able, asked), (former, plain)):
                assert pi.call("training_complete", answer(question).to_wire(question)) == {"accepted": True}
            record = server.ended(started)
            sizes = {client: part["bytes"] for client, part in record["clients"].items()}
            assert sizes == {"pi-1": encoded_size(LAYOUT, encoding), "pi-2": 4 * LAYOUT.size}
            chosen = {"name": name, "parameters": parameters}
            assert record["codec"] == server.api.status()["codec"] == chosen
            assert record["strategy"] == {"name": "fedavg", "parameters": {}}
            weights = np.frombuffer(server.request("GET", "/model", {"Accept": "application/octet-stream"})[1], "<f4")
            off = np.abs(weights - np.arange(LAYOUT.size) - MOVED)
            assert off.max() <= {"int8": 5 / 127, "delta-int8": 1 / 127, "topk": 0.002}[name], "of a mean of two, one of them exact"


def malformed(asked: ClientUpdate, encoding: str, data: bytes) -> dict[str, object]:
    return {**answer(asked).to_wire(asked), "weights": sections.pack([("weights", encoding, data)])}


@pytest.mark.parametrize(
    ("flags", "encoding", "data", "sentence"),
    [
        (HALF, "topk-0.5", np.array([0, 1, 6], "<u2").tobytes() + bytes(6), "weights: index 6 is out of range, the model has 6 weights"),
        (HALF, "topk-0.5", np.array([0, 2, 2], "<u2").tobytes() + bytes(6), "weights: index 2 is there twice"),
        (HALF, "topk-0.5", np.array([0, 2, 1], "<u2").tobytes() + bytes(6), "weights: its indices are not sorted, 1 comes late"),
        (HALF, "topk-0.5", bytes(16), "weights: 16 bytes do not fit the layout, which takes 12 as topk-0.5"),
        (HALF, "topk-0.9", bytes(24), "encoding: 'topk-0.9' is not one of"),
        (
            CODECS["int8"][0], "int8", np.array([1, np.inf], "<f4").tobytes() + bytes(6),
            "weights: the scale of dense/bias is inf, no finite number from 0 to 7.87e+15",
        ),
        (CODECS["delta-int8"][0], "delta-int8", bytes(13), "weights: 13 bytes do not fit the layout, which takes 14 as delta-int8"),
    ],
)  # fmt: skip
def test_a_malformed_answer_is_refused_by_name_and_hurts_nobody_else(
    tmp_path: Path, flags: tuple[str, ...], encoding: str, data: bytes, sentence: str
) -> None:
    with ServerProcess(tmp_path, *flags) as server, modern(server, "pi-1") as odd, modern(server, "pi-2") as good:
        number = server.api.start()["round"]
        asked, other = (ClientUpdate.from_wire(pi.next("client_update")) for pi in (odd, good))
        refused = odd.call("training_complete", malformed(asked, encoding, data))
        assert refused["accepted"] is False
        assert sentence in refused["reason"]
        assert good.call("training_complete", answer(other).to_wire(other)) == {"accepted": True}
        record = server.ended(number)
        assert (record["state"], record["updates"]) == ("committed", 1)
        assert sentence in record["clients"]["pi-1"]["reason"]
