"""Settings that would stop a unit: all of it is said, in the words of the inventory, before any host is touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.fleet.controller import Controller
from tests.fleet.fleet import Fleet

ALL = "(pi-1 and 2 others)"
GONE = "No such file or directory"
WRONG: list[tuple[dict[str, Any], list[str]]] = [
    (
        {
            "server_every": "soon",
            "server_settings": {"keep_models": "many", "ping_intervall": "2s"},
            "inspector_port": 5000,
            "inspector_settings": {"history": 3},
            "client_settings": {"reconect_max": "2s"},
            "client_sample_every": "often",
        },
        [
            "server_every: expected a duration such as 90s, 10m or 1h, got 'soon' (hub)",
            "server_settings.keep_models: input should be a valid integer",
            "server_settings.ping_intervall: is not a setting of bramble server, did you mean",
            "server_port and inspector_port are both 5000: give one of them another (hub)",
            "inspector_settings.history: input should be greater than or equal to 10, got '3' (hub)",
            f"client_settings.reconect_max: is not a setting of bramble client, did you mean 'reconnect_max'? {ALL}",
            f"client_sample_every: expected a duration such as 90s, 10m or 1h, got 'often' {ALL}",
        ],
    ),
    (
        {"server_settings": {"port": 5001}, "client_replay": "{folder}/odd.csv"},
        [
            "server_settings.port: the play sets port already, from a variable of its own",
            f"client_replay: {{folder}}/odd.csv, line 3, column 'temperature': 'warm' is not a number {ALL}",
        ],
    ),
    (
        {"server_settings": {"tls_cert": "/a.pem"}, "client_sensors_file": "{folder}/sensors.toml"},
        [
            "server_settings.tls_cert and server_settings.tls_key belong together",
            "client_sensors_file: {folder}/sensors.toml, line 2, key 'driver': there is no driver",
        ],
    ),
    (
        {"server_settings": {"strategy": "fedavrg"}, "server_port": 80},
        ["server_settings.strategy: 'fedavrg' is not one of fedavg", "server_port: 80 is for root alone"],
    ),
    ({"server_graph": "{folder}/odd.tflite"}, ["server_graph: {folder}/odd.tflite: not a graph file with a manifest"]),
    (
        {"server_tasks": ["climate", "{folder}/none.tflite"], "client_replay": "{folder}/none.csv"},
        [
            f"server_tasks: {{folder}}/none.tflite cannot be read on the controller ({GONE}): name a file that is there (hub)",
            f"client_replay: {{folder}}/none.csv cannot be read on the controller ({GONE}): name a file that is there {ALL}",
        ],
    ),
    (
        {"server_tasks": ["climate", "climate"], "client_reach": ["hub.local"]},
        [
            "server_tasks: climate is given twice; leave one of them out, or give it another name, as in climate-2=climate (hub)",
            f"write client_reach and inspector_reach as [192.168.1.10, 10.0.0.0/8] {ALL}",
        ],
    ),
    (
        {"server_tasks": ["climate"], "server_tracks": {"clmate": {"every": "1h"}}},
        ["server_tracks: there are settings for task clmate, which is not served, did you mean climate?"],
    ),
]
"""Each of these is said of one inventory at once."""


def test_settings_that_would_stop_a_unit_are_named_before_any_host_is_touched(
    controller: Controller, source: Path, fleet: Fleet, tmp_path: Path
) -> None:
    (tmp_path / "sensors.toml").write_text('[[sensor]]\ndriver = "bme208"\n')
    (tmp_path / "odd.csv").write_text("time,temperature\n2023-01-01T00:00Z,1\n2023-01-01T01:00Z,warm\n")
    (tmp_path / "odd.tflite").write_bytes(b"\xff no graph")
    clients: dict[str, dict[str, Any]] = {"pi-1": {}, "pi-2": {}, "pi-3": {}}
    hub = {"hub": {"ansible_host": fleet.server.address}}
    groups = {"server": {"hosts": hub}, "inspector": {"hosts": {"hub": {}}}, "clients": {"hosts": clients}}
    inventory = tmp_path / "hosts.yml"
    for variables, sentences in WRONG:
        given = json.loads(json.dumps(variables).replace("{folder}", str(tmp_path)))
        shared = {"server_mode": "evaluation", "client_sensors": "mock", **given}
        inventory.write_text(json.dumps({"all": {"vars": shared, "children": groups}}))
        play = controller.play("deploy.yml", source=source, inventory=inventory)
        said = " ".join(play.output.split()).replace("''", "'")
        assert play.code != 0
        for sentence in sentences:
            assert sentence.replace("{folder}", str(tmp_path)) in said, said
        assert "Look at every host" not in said
