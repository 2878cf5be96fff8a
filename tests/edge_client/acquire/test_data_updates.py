from __future__ import annotations

from bramble_client.acquire import data_updates
from bramble_protocol.messages import Channel, DataUpdate

CHANNELS = (Channel("temperature", "°C"), Channel("humidity", "%"))


def test_samples_become_one_message_of_columns_in_order_of_time() -> None:
    (message,) = data_updates.parts(4, [(2.0, {"temperature": 20.0, "humidity": None}), (1.0, {"temperature": 19.0})], CHANNELS)
    assert message.to_wire() == {
        "cycle": 4,
        "t": [1.0, 2.0],
        "channels": {"temperature": {"unit": "°C", "value": [19.0, 20.0]}, "humidity": {"unit": "%", "value": [None, None]}},
    }
    assert DataUpdate.from_wire(message.to_wire()) == message


def test_a_long_stretch_comes_in_parts_that_neither_overlap_nor_leave_a_gap() -> None:
    samples = [(float(t), {"temperature": float(t), "humidity": 50.0}) for t in range(4321)]
    messages = list(data_updates.parts(None, samples, CHANNELS))
    assert [len(message.t) for message in messages] == [1000, 1000, 1000, 1000, 321]
    assert [t for message in messages for t in message.t] == [float(t) for t in range(4321)]
    assert messages[3].channels["temperature"].value == tuple(float(t) for t in range(3000, 4000))
    for message in messages:
        assert DataUpdate.from_wire(message.to_wire()) == message


def test_a_clock_that_was_set_back_makes_no_message_that_the_server_refuses() -> None:
    samples = [(5.0, {"temperature": 1.0}), (6.0, {"temperature": 2.0}), (5.5, {"temperature": 3.0}), (6.0, {"temperature": 4.0})]
    (message,) = data_updates.parts(None, samples, CHANNELS[:1])
    assert message.t == (5.0, 5.5, 6.0)
    assert message.channels["temperature"].value == (1.0, 3.0, 4.0)
    DataUpdate.from_wire(message.to_wire())


def test_no_samples_are_no_message() -> None:
    assert list(data_updates.parts(1, [], CHANNELS)) == []
