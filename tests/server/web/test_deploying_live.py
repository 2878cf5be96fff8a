"""Tasks that come and go while a server runs, over real sockets: what is learnt of them, what stays, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble.api import ServerRefused
from bramble_protocol import BrambleError
from bramble_protocol.features import TRACKS
from bramble_protocol.graph import LARGEST, GraphFile
from bramble_protocol.layout import Layout
from bramble_protocol.messages import Channel
from bramble_server import foundation
from bramble_server.settings import ServerSettings
from tests.server.pi import Pi, hello, update
from tests.server.process import LAYOUT, ServerProcess, write_graph

HUMIDITY = (Channel("humidity", "%"),)
WIDER = Layout.of([("w", [3, 3])])
FLAGS = ("--min-clients", "1", "--min-updates", "1")


def pi(server: ServerProcess, name: str = "pi-1", **more: Any) -> Pi:
    return Pi(server.url, auth={**hello(name), "protocol": 2, "features": [TRACKS], "instance": name, **more})


def damp(folder: Path, **other: Any) -> bytes:
    return write_graph(folder, **{"layout": WIDER, "task": "damp", "channels": HUMIDITY, **other}).read_bytes()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path, *FLAGS) as made:
        yield made


def learn(server: ServerProcess, client: Pi, task: str, value: float) -> int:
    """Have one round of the deployed task be trained by this client; return its number."""
    number: int = server.api.start(task)["round"]
    asked = client.next("client_update")
    assert (asked["task"], asked["round"]) == (task, number)
    weights = np.full(WIDER.size, value, "<f4").tobytes()
    assert client.call("training_complete", update(number, layout=WIDER.to_wire(), weights=weights)) == {"accepted": True}
    assert server.ended(number)["state"] == "committed"
    return number


def test_a_deployed_task_is_learnt_at_once_and_survives_the_server(tmp_path: Path, server: ServerProcess) -> None:
    with pi(server) as client:
        told = server.api.deploy(damp(tmp_path), settings=["deadline=99s", "strategy=fedprox"])
        assert (told["task"], told["round"], told["able"]) == ("damp", 0, 1)
        served = server.request("GET", f"/graphs/{told['graph']}.tflite")
        assert served[:2] == (200, damp(tmp_path)), "clients fetch it"
        number = learn(server, client, "damp", 5.0)
    metrics = server.get("/metrics").decode()
    assert 'bramble_rounds_total{state="committed",task="damp"} 1.0' in metrics
    server.kill()
    with ServerProcess(tmp_path, *FLAGS, port=server.port) as again:
        (_, known) = again.api.tasks()
        assert (known["task"], known["graph"], known["round"], known["deployed"]) == ("damp", told["graph"], number, True)
        assert again.api.status("damp")["strategy"]["name"] == "fedprox", "what was set for it too"
        assert again.api.status("small")["strategy"]["name"] == "fedavg"
        with pi(again) as client:
            assert learn(again, client, "damp", 6.0) == number + 1


def test_a_task_for_a_group_is_taken_where_somebody_belongs_to_it(tmp_path: Path, server: ServerProcess) -> None:
    with pi(server, groups={"site": "south"}) as client:
        assert server.api.deploy(damp(tmp_path), settings=["group=site=south"])["able"] == 1
        learn(server, client, "damp", 5.0)


def test_a_retired_task_goes_at_once_and_its_history_waits_for_it(tmp_path: Path, server: ServerProcess) -> None:
    with pi(server) as client:
        server.api.deploy(damp(tmp_path))
        learn(server, client, "damp", 5.0)
        opened = server.api.start("damp")["round"]
        client.next("client_update")
        assert server.api.retire("damp") == {"retired": "damp"}
        assert client.next("reset") == {"task": "damp"}
        weights = np.full(WIDER.size, 1.0, "<f4").tobytes()
        answer = client.call("training_complete", update(opened, layout=WIDER.to_wire(), weights=weights))
        assert answer == {"accepted": False, "reason": "round over"}
        assert [track["task"] for track in server.api.tasks()] == ["small"]
        assert "damp" not in server.api.clients()["pi-1"]["tasks"]
        assert "damp" not in server.get("/metrics").decode()
        assert server.api.round(opened)["state"] == "abandoned"
        assert server.api.start()["clients"] == ["pi-1"], "and the others go on"
        client.train()
        assert server.api.deploy(damp(tmp_path))["round"] == 1, "where it was"
        assert server.api.model("damp")["weights"]["w"][0] == [5.0, 5.0, 5.0]


def test_what_cannot_be_learnt_here_is_refused_by_name_and_changes_nothing(tmp_path: Path, server: ServerProcess) -> None:
    other = Layout.of([("w", [3, 4])])
    with pi(server) as client:
        assert client.call("health", {"sent": 1.0, "memory_free": 10.0})["accepted"]
        for _ in range(3):  # over one connection, which a large body does not end
            with pytest.raises(ServerRefused, match="not a graph file"):
                server.api.deploy(bytes(1 << 20))
        server.api.deploy(damp(tmp_path))
        before = server.api.tasks()
        for graph, settings, sentence in (
            (b"no graph", [], "not a graph file with a manifest"),
            (damp(tmp_path), [], "damp is this very graph"),
            (damp(tmp_path, layout=other), [], r"damp is the name of another graph here \(retire it first\)"),
            (damp(tmp_path, task="small"), [], "it is one of the server's settings"),
            (damp(tmp_path, task="power", channels=(Channel("power", "kW"),)), [], "no client that was ever here measures power in kW"),
            (damp(tmp_path, task="odd"), ["evry=1m"], "odd.evry cannot be set for one task alone, did you mean every"),
            (damp(tmp_path, task="odd"), ["every=x"], "odd.every"),
            (damp(tmp_path, task="odd"), ["every"], "is written task.setting=value"),
            (damp(tmp_path, task="odd"), ["strategy=nothing"], "nothing"),
            (
                damp(tmp_path, task="odd"),
                ["group=site=north"],
                "odd is for site=north, and no client that was ever here belongs to it; start",
            ),
            (damp(tmp_path, task="odd", layout=Layout.of([("w", [4 << 20])])), [], "more than this server was started for"),
            (
                damp(tmp_path, task="odd", layout=Layout.of([("w", [1 << 20])])),
                [],
                "takes 4. MB at least .* has more than 10 free; take a smaller",
            ),
        ):
            with pytest.raises(ServerRefused, match=sentence):
                server.api.deploy(graph, settings=settings)
        for signed, sentence in (("no-signature", "signatures, line 1"), ("\N{SNOWMAN}", "signatures, line 1")):
            with pytest.raises(ServerRefused, match=sentence):
                server.api.deploy(damp(tmp_path, task="odd"), signed)
        assert server.request("POST", "/tasks", {"Content-Length": str(LARGEST + 1)})[0] == 413
        assert server.request("POST", "/reset", body=bytes(1 << 17))[0] == 413, "what reads no body takes none"
        with pytest.raises(ServerRefused, match="small is one of the server's settings"):
            server.api.retire("small")
        with pytest.raises(ServerRefused, match="'power' is not served here; there is small, damp"):
            server.api.retire("power")
        server.api.retire("damp")
        with pytest.raises(ServerRefused, match="gives another meaning: give the task another name"):
            server.api.deploy(damp(tmp_path, layout=other))
        server.api.deploy(damp(tmp_path))
        assert server.api.tasks() == before
    assert sorted(path.name for path in (tmp_path / "data/tasks").iterdir()) == ["damp.json", "damp.sig", "damp.tflite"]


def test_in_private_mode_nothing_is_taken_that_nobody_signed(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--mode", "private", "--allow-simulated") as server, pi(server):
        with pytest.raises(ServerRefused, match="damp is not signed, and clients in private mode run no such graph"):
            server.api.deploy(damp(tmp_path))
        signature = "A" * 86 + "=="
        told = server.api.deploy(damp(tmp_path), f"{signature}\n{signature}\n")
        assert server.request("GET", f"/graphs/{told['graph']}.sig")[1] == f"{signature}\n{signature}\n".encode()


def test_a_damaged_deployment_is_named_when_the_server_starts(tmp_path: Path, server: ServerProcess) -> None:
    with pi(server):
        server.api.deploy(damp(tmp_path))
    server.stop()
    path = tmp_path / "data/tasks/damp.tflite"
    whole = GraphFile.read(path.read_bytes())
    other = write_graph(tmp_path, WIDER, "damp", (Channel("temperature", "°C"),))

    def read(*tasks: Path) -> list[str]:
        settings = ServerSettings(task=tuple(map(str, tasks)), data_dir=tmp_path / "data", min_clients=1)
        return [track.task for track in foundation.read(settings)]

    small = write_graph(tmp_path, LAYOUT)
    assert read(small) == ["small", "damp"]
    with pytest.raises(BrambleError, match=r"another damp than .* is deployed here"):
        read(small, other)
    other.write_bytes(whole.data)
    assert read(other, small) == ["damp", "small"], "the settings may name it too"
    path.with_suffix(".json").write_text(json.dumps({"every": "1m"}))
    with pytest.raises(BrambleError, match=r"damp.tflite, which was deployed here, cannot be used .*; delete it, and deploy it again"):
        read(small)
    path.write_bytes(whole.data[:-9])
    with pytest.raises(BrambleError, match=r"damp.tflite, which was deployed here, cannot be used .*; delete it, and deploy it again"):
        read(small)
