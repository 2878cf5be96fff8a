"""What a server is to learn: as an inventory names it, as the server's settings do, and what the play has to carry for that."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from tests.plugins import load

filters = load("bramble_tasks_filter", "filter/bramble_tasks.py")


@pytest.mark.parametrize(
    ("server", "tasks"),
    [
        ({}, [{"task": "climate"}]),
        ({"server_task": "climate"}, [{"task": "climate"}]),
        ({"server_task": "/etc/bramble/own.tflite"}, [{"task": "/etc/bramble/own.tflite"}]),  # which somebody brought to the host
        (
            {"server_graph": "mine"},
            [{"task": "/etc/bramble/graph.tflite", "path": "etc/bramble/graph.tflite", "graph": "/play/mine", "variable": "server_graph"}],
        ),
        ({"server_tasks": ["climate"]}, [{"task": "climate"}]),
    ],
)
def test_one_task_is_called_on_its_host_as_ever(server: dict[str, Any], tasks: list[dict[str, str]]) -> None:
    assert filters.bramble_tasks(server, "/play") == tasks


def test_several_keep_their_order_and_graphs_alike_by_name_lie_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    found = filters.bramble_tasks({"server_tasks": ["/a/mine.tflite", "climate", "~/mine.tflite"]}, "/play")
    assert [each["task"] for each in found] == ["/etc/bramble/graph.tflite", "climate", "/etc/bramble/graph-2.tflite"]
    assert [each.get("graph") for each in found] == ["/a/mine.tflite", None, "/home/ada/mine.tflite"]


def test_a_task_that_is_served_by_another_name_keeps_it() -> None:
    found = filters.bramble_tasks({"server_tasks": ["climate", "north=climate", "mine-2=/a/mine.tflite", "/a=b.tflite"]}, "/play")
    assert [each["task"] for each in found] == [
        "climate",
        "north=climate",
        "mine-2=/etc/bramble/graph.tflite",
        "/etc/bramble/graph-2.tflite",
    ]
    assert [each.get("graph") for each in found] == [None, None, "/a/mine.tflite", "/a=b.tflite"]


@pytest.mark.parametrize(
    "value",
    [
        {"later": {"every": "1h", "strategy_option": {"tau": 0.001, "beta": 1e-9}, "rounds": 3}, "a b": {}},
        ["a", '"', "\\", "\n\x7f\x00", "ä 😀", True, False, -1, 1.5, float("inf")],
        "text",
    ],
)
def test_what_an_inventory_says_is_read_from_toml_as_it_was(value: Any) -> None:
    assert tomllib.loads(f"value = {filters.bramble_toml(value)}") == {"value": value}
