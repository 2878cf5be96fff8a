from __future__ import annotations

import threading
from typing import Any

import pytest

from bramble.api import Server
from bramble_inspector.feed import MAX_ROUNDS, Feed, Snapshot
from tests.inspector.standin import STEP, T0, Standin
from tests.waiting import wait_for

NAMES = ("a", "b", "c")


def feed_of(standin: Standin, history: int = 1000, timeout: float = 60.0) -> Feed:
    """A feed that looks every time it is asked."""
    return Feed(Server(standin.url, timeout=timeout), interval=0.0, history=history)


@pytest.fixture
def lively(standin: Standin) -> Standin:
    standin.add_clients(*NAMES)
    standin.add_readings(30)
    standin.add_round()
    return standin


def held(snapshot: Snapshot) -> dict[str, Any]:
    """What a snapshot holds, in the form of the server's answers."""
    return {
        client: {key: {"unit": s.unit, "t": s.t.tolist(), "value": s.value.tolist()} for key, s in channels.items()}
        for client, channels in snapshot.readings.items()
    }


def paths(standin: Standin) -> list[str]:
    return [path for _, path, _ in standin.asked]


def test_the_first_look_brings_everything(lively: Standin) -> None:
    snapshot = feed_of(lively).look()
    assert snapshot.down is None
    assert held(snapshot) == lively.data
    assert list(snapshot.rounds.values()) == lively.rounds
    assert (snapshot.clients, snapshot.updates, snapshot.status) == (lively.clients, lively.updates, lively.status)


def test_while_nothing_changes_only_the_status_is_asked(lively: Standin) -> None:
    feed = feed_of(lively)
    first = feed.look()
    lively.asked.clear()
    again = feed.look()
    assert paths(lively) == ["/status"]
    assert again.changed == first.changed


def test_several_pages_within_one_interval_cost_one_look(lively: Standin) -> None:
    feed = Feed(Server(lively.url), interval=60.0, history=100)
    feed.look()
    asked = len(lively.asked)
    feed.look()
    feed.look()
    assert len(lively.asked) == asked


def test_what_comes_later_is_added_and_only_its_part_is_marked(lively: Standin) -> None:
    feed = feed_of(lively)
    before = feed.look()
    lively.add_round()
    after = feed.look()
    changed = {part for part in after.changed if after.changed[part] != before.changed[part]}
    assert changed == {"status", "rounds"}
    assert list(after.rounds) == [1, 2]
    assert after.updates["a"]["round"] == 2


def test_later_readings_are_fetched_alone_and_joined(lively: Standin) -> None:
    feed = feed_of(lively)
    feed.look()
    lively.asked.clear()
    lively.add_readings(5)
    assert held(feed.look()) == lively.data
    asked = [query for _, path, query in lively.asked if path == "/data/all"]
    assert len(asked) == 1
    assert T0 + 28 * STEP < float(asked[0]["since"]) < T0 + 29 * STEP


def test_a_client_that_is_slower_than_the_others_loses_nothing(lively: Standin) -> None:
    feed = feed_of(lively)
    feed.look()
    lively.add_readings(8, "a", "b")
    feed.look()
    lively.add_readings(8, "c")
    assert held(feed.look()) == lively.data


def test_the_first_readings_of_a_client_arrive_though_others_are_ahead(standin: Standin) -> None:
    standin.add_clients(*NAMES)
    standin.add_readings(12, "a", "b")
    feed = feed_of(standin)
    feed.look()
    standin.add_readings(12, "c")
    assert held(feed.look()) == standin.data


def test_the_first_forecasts_arrive_though_they_are_older_than_the_newest_reading(standin: Standin) -> None:
    standin.add_clients(*NAMES)
    standin.add_readings(30)
    forecasts = {name: standin.data[name].pop("temperature.forecast") for name in NAMES}
    feed = feed_of(standin)
    feed.look()
    for name in NAMES:
        standin.data[name]["temperature.forecast"] = forecasts[name]
    standin.touch()
    assert held(feed.look()) == standin.data


def test_a_client_that_was_away_brings_its_backlog(lively: Standin) -> None:
    feed = feed_of(lively)
    lively.leave("b")
    feed.look()
    lively.add_readings(20, "a", "c")
    feed.look()
    lively.clients["b"]["connected"] = True
    lively.add_readings(20, "b")
    assert held(feed.look()) == lively.data


def test_a_backlog_that_comes_before_its_sender_is_seen_as_connected_is_whole_too(lively: Standin) -> None:
    feed = feed_of(lively)
    lively.leave("b")
    feed.look()
    lively.add_readings(20, "a", "c")
    feed.look()
    lively.add_readings(25, "b")  # /clients was asked a moment before it connected
    assert held(feed.look()) == lively.data


def test_no_more_history_is_kept_than_is_wished(lively: Standin) -> None:
    feed = feed_of(lively, history=10)
    feed.look()
    lively.add_readings(4)
    assert {s.t.size for channels in feed.look().readings.values() for s in channels.values()} <= set(range(1, 11))


def test_a_reset_by_anybody_empties_what_is_known(lively: Standin) -> None:
    feed = feed_of(lively)
    order = feed.look().order
    lively.data, lively.updates = {}, {}
    lively.rounds.clear()
    lively.touch(round=0)
    snapshot = feed.look()
    assert (snapshot.readings, snapshot.rounds, snapshot.updates) == ({}, {}, {})
    assert snapshot.order == order, "a client keeps its colour"


def test_a_reset_is_noticed_even_when_new_readings_and_rounds_follow_at_once(lively: Standin) -> None:
    feed = feed_of(lively)
    feed.look()
    lively.data = {}
    lively.rounds.clear()
    lively.add_readings(3)
    number = lively.add_round()
    for entry in lively.rounds:  # numbers are not used twice
        entry["round"] = number + 6
    for channels in lively.data.values():  # nor is the world's time
        for column in channels.values():
            column["t"] = [t + 1000 * STEP for t in column["t"]]
    lively.touch(round=number + 6, cycle=lively.status["cycle"] + 1)
    snapshot = feed.look()
    assert held(snapshot) == lively.data
    assert list(snapshot.rounds) == [number + 6]


def test_a_reset_before_any_round_is_noticed_by_the_readings_alone(standin: Standin) -> None:
    standin.add_clients(*NAMES)
    standin.add_readings(20)
    feed = feed_of(standin)
    feed.look()
    standin.data = {}
    standin.add_readings(6)
    assert held(feed.look()) == standin.data


def test_a_running_round_is_followed_to_its_end(lively: Standin) -> None:
    feed = feed_of(lively)
    lively.add_round()
    lively.rounds[-1]["state"] = "running"
    assert [entry["round"] for entry in feed.look().ended] == [1]
    lively.rounds[-1]["state"] = "committed"
    lively.touch()
    assert [entry["round"] for entry in feed.look().ended] == [1, 2]


def test_a_running_round_that_is_gone_after_a_reset_does_not_stay(standin: Standin) -> None:
    standin.add_clients(*NAMES)
    feed = feed_of(standin)
    standin.add_round()
    standin.rounds[-1]["state"] = "running"
    feed.look()
    standin.rounds.clear()
    standin.touch()
    assert feed.look().rounds == {}


def test_a_long_history_is_cut_to_its_newest_rounds(lively: Standin) -> None:
    for _ in range(MAX_ROUNDS + 5):
        lively.add_round()
    feed = feed_of(lively)
    assert list(feed.look().rounds) == list(range(7, MAX_ROUNDS + 7))
    lively.add_round()
    assert list(feed.look().rounds) == list(range(8, MAX_ROUNDS + 8))


def test_private_mode_never_asks_for_readings(lively: Standin) -> None:
    lively.touch(mode="private")
    snapshot = feed_of(lively).look()
    assert snapshot.private
    assert snapshot.readings == {}
    assert "/data/all" not in paths(lively)


def test_a_server_that_goes_leaves_what_was_known_and_says_so(lively: Standin) -> None:
    feed = feed_of(lively)
    before = feed.look()
    lively.down()
    gone = feed.look()
    assert gone.down is not None
    assert gone.down.startswith("No server answers")
    assert gone.readings == before.readings
    assert gone.changed["status"] != before.changed["status"]
    assert gone.changed["readings"] == before.changed["readings"]


def test_a_server_that_comes_back_is_read_anew_whatever_its_revision(lively: Standin) -> None:
    feed = feed_of(lively)
    feed.look()
    lively.down()
    feed.look()
    lively.data["a"]["temperature"]["value"][0] = -40.0
    lively.up()
    snapshot = feed.look()
    assert snapshot.down is None
    assert snapshot.readings["a"]["temperature"].value[0] == -40.0


def test_an_outage_is_logged_once_and_so_is_its_end(lively: Standin, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "bramble_inspector")
    feed = feed_of(lively)
    feed.look()
    lively.down()
    feed.look()
    feed.look()
    lively.up()
    feed.look()
    feed.look()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_an_answer_outside_the_contract_is_said_and_not_fatal(lively: Standin) -> None:
    feed = feed_of(lively)
    lively.answers["GET", "/clients"] = (200, {"people": {}})
    assert "answers in a way this inspector does not know" in str(feed.look().down)
    del lively.answers["GET", "/clients"]
    assert feed.look().down is None


def test_colours_places_never_change_when_clients_join_or_leave(lively: Standin) -> None:
    feed = feed_of(lively)
    assert feed.look().order == ("a", "b", "c")
    lively.leave("a")
    lively.add_clients("aa")
    assert feed.look().order == ("a", "b", "c", "aa")


def test_clients_of_an_earlier_server_at_that_address_do_not_haunt_the_page(lively: Standin) -> None:
    feed = feed_of(lively)
    feed.look()
    for store in (lively.clients, lively.data, lively.updates, lively.rounds):
        store.clear()
    lively.add_clients("x", "b")
    assert feed.look().order == ("b", "x")


def test_a_slow_server_holds_up_one_page_and_not_the_others(lively: Standin) -> None:
    feed = feed_of(lively)
    known = feed.look()
    lively.gate.clear()
    lively.add_round()
    asked = len(lively.asked)
    slow = threading.Thread(target=feed.look)
    slow.start()
    wait_for(lambda: len(lively.asked) > asked or not slow.is_alive(), "the slow look to be under way")
    assert feed.look() is known
    lively.gate.set()
    slow.join(20)
    assert list(feed.look().rounds) == [1, 2]
