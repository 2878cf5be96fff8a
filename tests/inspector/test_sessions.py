from __future__ import annotations

from pathlib import Path

import pytest

from bramble.api import Server, ServerError
from bramble_inspector import accounts
from bramble_inspector.accounts import Accounts
from bramble_inspector.sessions import Sessions
from tests.inspector.standin import Standin

SECRET, TOKEN = "correct horse battery", "t0ken-" * 6


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users.toml"
    path.write_text(accounts.entry("anna", SECRET, "operate"))
    return path


def test_a_session_lasts_its_time_and_is_forgotten_when_its_owner_leaves_or_has_another_password(clock: Clock, users: Path) -> None:
    sessions = Sessions(Server("http://127.0.0.1:1"), Accounts(users), 1.0, clock)
    numbers = []
    for _ in range(3):
        found = sessions.log_in("anna", SECRET)
        assert found is not None
        numbers.append(found[0])
    first, second, third = numbers
    assert sessions.get(first) is not None
    assert sessions.get("") is sessions.get(None) is sessions.get(first[:-1]) is None
    sessions.log_out(first)
    assert sessions.get(first) is None
    clock.now += 3601
    assert sessions.get(second) is None
    clock.now -= 3601
    assert sessions.get(second) is None, "gone is gone"
    users.write_text(accounts.entry("anna", SECRET + "!", "operate"))
    assert sessions.get(third) is None


def test_a_token_opens_what_the_server_says_until_the_server_takes_it_no_more(clock: Clock, standin: Standin) -> None:
    standin.token = TOKEN
    standin.answers["GET", "/whoami"] = (200, {"name": "grafana", "opens": ["metrics", "read"]})
    sessions = Sessions(Server(standin.url, "another"), Accounts(None), 1.0, clock)
    assert sessions.log_in("whoever", TOKEN[:-1]) is None
    found = sessions.log_in("whoever", TOKEN)
    assert found is not None
    number, session = found
    assert (session.name, session.opens) == ("grafana (token)", {"metrics", "read"})
    assert session.client.status()["task"] == "climate", "by the person's own token"
    standin.down()
    clock.now += 100
    assert sessions.get(number) is session, "a server that is away sends nobody away"
    standin.up()
    standin.token = "revoked"
    assert sessions.get(number) is session
    clock.now += 100
    assert sessions.get(number) is None


def test_a_server_that_asks_for_no_token_vouches_for_nobody(standin: Standin) -> None:
    standin.answers["GET", "/whoami"] = (200, {"name": None, "opens": ["metrics", "read", "operate", "admin"]})
    assert Sessions(Server(standin.url), Accounts(None), 1.0).log_in("whoever", TOKEN) is None


def test_a_server_that_looks_at_no_token_for_a_while_is_not_taken_for_one_that_says_no(clock: Clock, standin: Standin) -> None:
    standin.answers["GET", "/whoami"] = (200, {"name": "grafana", "opens": ["metrics", "read"]})
    sessions = Sessions(Server(standin.url), Accounts(None), 1.0, clock)
    found = sessions.log_in("whoever", TOKEN)
    assert found is not None
    standin.answers["GET", "/whoami"] = (429, {"error": "token: too many wrong ones came, so this one was not looked at; try again in 9 s"})
    with pytest.raises(ServerError, match="try again in 9 s"):
        sessions.log_in("whoever", TOKEN)
    clock.now += 100
    assert sessions.get(found[0]) is found[1]
