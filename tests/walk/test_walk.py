"""The way of one update, from a client's trainer to the committed model, can be read in one go: it is so many files, few of them twice."""

from __future__ import annotations

from pathlib import Path

from tests.edge_client.process import CLIMATE, ClientProcess
from tests.server.process import ServerProcess
from tests.waiting import wait_for

WALKED = Path(__file__).with_name("walked.py")
MOST = 20
TWICE = {
    "edge_client/bramble_client/deliver/outbox.py": "it rests here, on the disk, until it is sent, and again until it is acknowledged",
    "edge_client/bramble_client/participation.py": "it is told what was trained, and what was taken",
    "server/bramble_server/rounds/coordinator.py": "it is taken here, and again when the one writer comes to it",
    "server/bramble_server/rounds/round.py": "it rests here, in the round's file, until the last has come",
    "server/bramble_server/rounds/divergence.py": "its length is taken as it comes, its angle to the new model when there is one",
    "protocol/bramble_protocol/codecs/__init__.py": "its form is looked at before anybody allocates for it, and decoded off the event loop",
}
"""Files that it is handed to again after it left them, and why."""
BESIDE = "edge_client/bramble_client/use/"
"""What a client makes of its own weights, at a time of its own, is no part of the way."""


def walk(path: Path) -> tuple[list[str], set[str]]:
    """Return the files in the order of the walk, and those that it went back into."""
    steps = [line.split() for line in path.read_text().splitlines() if not line.startswith(BESIDE)]
    return [file for file, *_ in steps], {file for file, _, way in steps if way == "back"}


def test_an_update_goes_through_at_most_twenty_files_from_the_trainer_to_the_committed_model(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "client.walk", tmp_path / "server.walk"
    flags = ("--task", str(CLIMATE), "--min-clients", "1")
    with (
        ServerProcess(tmp_path, *flags, script=WALKED, ROLE="server", WALK=str(theirs)) as server,
        ClientProcess(server.url, tmp_path, script=WALKED, ROLE="client", WALK=str(ours)) as client,
    ):
        client.wait_connected()
        server.measure(200)
        number = server.api.start()["round"]
        wait_for(lambda: server.api.status()["round"] == number, "the commit")
        client.wait_log(f"round {number} of climate: the server took this client's update")
    sent, sent_twice = walk(ours)
    taken, taken_twice = walk(theirs)
    assert sent[0].endswith("learn/trainer.py")
    assert "edge_client/bramble_client/deliver/link.py" in sent
    assert taken[0].endswith("transport/handlers.py")
    assert any(file.endswith("store/models.py") for file in taken), "it is followed up to the model"
    assert len({*sent, *taken}) <= MOST, "\n".join([*sent, *taken])
    assert sent_twice | taken_twice <= set(TWICE)
