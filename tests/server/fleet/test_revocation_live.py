"""A token that is taken away ends the connection it opened, and nobody else's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bramble_server.fleet.tokens import new_token
from tests.server.pi import Closed, Pi, Refused, hello
from tests.server.process import ServerProcess
from tests.waiting import wait_for

TOKENS = {name: new_token() for name in ("pi-1", "pi-2")}


def write(path: Path, **hashes: str) -> None:
    lines = [f'{name.replace("_", "-")} = "{value}"' for name, value in hashes.items()]
    new = path.with_suffix(".new")
    new.write_text("[clients]\n" + "\n".join(lines) + "\n")
    new.rename(path)


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    write(tmp_path / "tokens.toml", pi_1=TOKENS["pi-1"][1], pi_2=TOKENS["pi-2"][1])
    return tmp_path / "tokens.toml"


@pytest.fixture
def secured(tokens: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tokens.parent, "--tokens", str(tokens)) as process:
        yield process


def join(server: ServerProcess, name: str, token: str | None = None) -> Pi:
    return Pi(server.url, auth=hello(name, token=token or TOKENS[name][0]))


def hung_up(pi: Pi) -> bool:
    try:
        pi.call("health", {"sent": time.time()})
    except Closed:
        return True
    return False


def test_a_revoked_client_is_hung_up_on_and_not_let_in_again_while_others_stay(secured: ServerProcess, tokens: Path) -> None:
    gone, stays = join(secured, "pi-1"), join(secured, "pi-2")
    write(tokens, pi_2=TOKENS["pi-2"][1])
    wait_for(lambda: hung_up(gone), "the connection to end")
    with pytest.raises(Refused, match="token: not the one of client pi-1"):
        join(secured, "pi-1")
    assert not hung_up(stays)
    assert secured.logged("pi-1: its token was taken away") == 1
    stays.close()


def test_a_changed_token_ends_the_connection_and_opens_another(secured: ServerProcess, tokens: Path) -> None:
    pi, (token, hashed) = join(secured, "pi-1"), new_token()
    write(tokens, pi_1=hashed, pi_2=TOKENS["pi-2"][1])
    wait_for(lambda: hung_up(pi), "the connection to end")
    again = join(secured, "pi-1", token)
    assert not hung_up(again)
    again.close()


def test_a_file_that_became_unreadable_hangs_up_on_nobody(secured: ServerProcess, tokens: Path) -> None:
    pi = join(secured, "pi-1")
    tokens.write_text("[clients\n")
    assert secured.logged("the tokens read before stay in force") == 1
    assert not hung_up(pi)
    pi.close()
