from __future__ import annotations

import hashlib
import hmac
import logging
import os
from pathlib import Path

import pytest

from bramble_protocol.scopes import SCOPES
from bramble_server.fleet import tokens
from bramble_server.fleet.tokens import TokenError, Tokens, Visitor, client_entry, hash_of, http_entry, new_token


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.toml"


def write(path: Path, **sections: dict[str, str]) -> None:
    """Write the file anew, as an editor does: another file under the same name."""
    lines = [line for section, entries in sections.items() for line in (f"[{section}]", *(f'{k} = "{v}"' for k, v in entries.items()))]
    fresh = path.with_suffix(".new")
    fresh.write_text("\n".join(lines) + "\n")
    os.replace(fresh, path)


class TestNewTokens:
    def test_are_long_and_never_the_same(self) -> None:
        made = {new_token()[0] for _ in range(100)}
        assert len(made) == 100
        assert all(len(token) >= 43 for token in made), "43 characters of base64 hold 256 bits"

    def test_come_with_the_line_for_the_file(self, path: Path) -> None:
        token, line = new_token()
        assert line == "sha256:" + hashlib.sha256(token.encode()).hexdigest()
        write(path, clients={"pi-1": line})
        assert Tokens(path).client("pi-1", token)


class TestClients:
    def test_each_has_its_own_token(self, path: Path) -> None:
        (one, first), (two, second) = new_token(), new_token()
        write(path, clients={"pi-1": first, "pi-2": second})
        known = Tokens(path)
        assert known.client("pi-1", one)
        assert known.client("pi-2", two)
        assert not known.client("pi-1", two)
        assert not known.client("pi-3", one)

    @pytest.mark.parametrize("token", [None, "", "guess", "0" * 64, "\x00", "schlüssel", "\ud800"])
    def test_nothing_else_opens_the_door(self, path: Path, token: str | None) -> None:
        write(path, clients={"pi-1": new_token()[1]})
        known = Tokens(path)
        assert not known.client("pi-1", token)
        assert not known.client("pi-9", token)
        assert known.http(token) is None

    def test_the_hash_itself_is_no_token(self, path: Path) -> None:
        line = new_token()[1]
        write(path, clients={"pi-1": line}, http={"inspector": line})
        assert not Tokens(path).client("pi-1", line)
        assert Tokens(path).http(line) is None

    def test_a_client_token_opens_no_http_and_the_other_way_round(self, path: Path) -> None:
        (one, first), (two, second) = new_token(), new_token()
        write(path, clients={"pi-1": first}, http={"inspector": second})
        known = Tokens(path)
        assert known.http(one) is None
        assert not known.client("pi-1", two)

    def test_an_unknown_client_costs_as_many_comparisons_as_a_known_one(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(path, clients={"pi-1": new_token()[1]})
        known = Tokens(path)
        compared: list[tuple[str, str]] = []
        real = hmac.compare_digest

        def compare(a: str, b: str) -> bool:
            compared.append((a, b))
            return real(a, b)

        monkeypatch.setattr(hmac, "compare_digest", compare)
        for client in ("pi-1", "nobody"):
            known.client(client, "guess")
        assert len(compared) == 2
        assert len({len(b) for _, b in compared}) == 1


def test_http_says_whose_token_it_is(path: Path) -> None:
    (one, first), (two, second) = new_token(), new_token()
    write(path, http={"inspector": first, "grafana": second})
    known = Tokens(path)
    assert known.http(one).name == "inspector"  # type: ignore[union-attr]
    assert known.http(two).name == "grafana"  # type: ignore[union-attr]


class TestScopes:
    @pytest.mark.parametrize(
        ("scopes", "opened"),
        [
            (["metrics"], {"metrics"}),
            (["read"], {"metrics", "read"}),
            (["operate"], {"metrics", "read", "operate"}),
            (["admin"], {"metrics", "read", "operate", "admin"}),
            (["metrics", "operate"], {"metrics", "read", "operate"}),
        ],
    )
    def test_a_token_opens_what_its_scopes_say(self, path: Path, scopes: list[str], opened: set[str]) -> None:
        token, hashed = new_token()
        path.write_text(http_entry("grafana", hashed, scopes))
        assert Tokens(path).http(token) == Visitor("grafana", frozenset(opened))

    def test_an_entry_of_release_0_1_opens_everything_and_that_is_said_once(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (one, first), (_, second) = new_token(), new_token()
        write(path, http={"inspector": first})
        known = Tokens(path)
        assert known.http(one) == Visitor("inspector", frozenset(SCOPES))
        write(path, http={"inspector": first}, clients={"pi-1": second})
        assert known.http(one)
        assert caplog.text.count("inspector without scopes may do everything") == 1
        write(path, http={"inspector": first, "grafana": second})
        assert known.http(one)
        assert "inspector, grafana without scopes" in caplog.text

    def test_a_name_of_any_kind_is_written_as_toml_that_can_be_read(self, path: Path) -> None:
        token, hashed = new_token()
        for name in ("grafana", "my scripts", 'a "b"', "a.b", "größe", "x]"):
            path.write_text(http_entry(name, hashed, ["read"]))
            assert Tokens(path).http(token) == Visitor(name, frozenset({"metrics", "read"}))

    @pytest.mark.parametrize(("name", "scopes"), [("", ["read"]), ("a\nb", ["read"]), ("a" * 64, ["read"]), ("a", ["root"])])
    def test_what_cannot_be_written_is_refused(self, name: str, scopes: list[str]) -> None:
        with pytest.raises(TokenError):
            http_entry(name, new_token()[1], scopes)

    @pytest.mark.parametrize("name", ["Bad Name", "", "-pi", "pi.1", "a" * 64])
    def test_a_client_that_cannot_be_gets_no_line(self, name: str) -> None:
        with pytest.raises(TokenError, match="is not a client id"):
            client_entry(name, new_token()[1])


def test_some_clients_token_is_known_without_its_name(path: Path) -> None:
    (one, first), (two, second) = new_token(), new_token()
    write(path, clients={"pi-1": first}, http={"inspector": second})
    known = Tokens(path)
    assert known.any_client(one)
    assert not known.any_client(two)
    assert not known.any_client(None)


class TestChanges:
    def test_a_line_taken_out_is_revoked_without_a_restart(self, path: Path) -> None:
        (one, first), (two, second) = new_token(), new_token()
        write(path, clients={"pi-1": first, "pi-2": second})
        known = Tokens(path)
        write(path, clients={"pi-2": second})
        assert not known.client("pi-1", one)
        assert known.client("pi-2", two)

    def test_a_line_put_in_is_known_without_a_restart(self, path: Path) -> None:
        write(path)
        known = Tokens(path)
        token, line = new_token()
        write(path, http={"inspector": line})
        assert known.http(token).name == "inspector"  # type: ignore[union-attr]

    def test_a_change_in_place_is_seen_by_its_time(self, path: Path) -> None:
        (one, first), (two, second) = new_token(), new_token()
        path.write_text(f'[clients]\npi-1 = "{first}"\n')
        known = Tokens(path)
        status = path.stat()
        path.write_text(f'[clients]\npi-1 = "{second}"\n')
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
        assert not known.client("pi-1", one)
        assert known.client("pi-1", two)

    def test_an_unchanged_file_is_not_read_again(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        token, line = new_token()
        write(path, clients={"pi-1": line})
        known = Tokens(path)
        monkeypatch.setattr(tokens, "read", lambda path: pytest.fail("read again"))
        assert known.client("pi-1", token)

    def test_a_typo_is_logged_once_and_locks_nobody_out(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        token, line = new_token()
        write(path, clients={"pi-1": line})
        known = Tokens(path)
        write(path, clients={"pi-1": line, "pi-2": "sha256:typo"})
        assert known.client("pi-1", token)
        assert known.client("pi-1", token)
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert "[clients] pi-2" in record.getMessage()
        assert "stay in force" in record.getMessage()

    def test_a_file_that_went_away_and_came_back(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        token, line = new_token()
        write(path, clients={"pi-1": line})
        known = Tokens(path)
        path.unlink()
        assert known.client("pi-1", token)
        assert "cannot be read (No such file or directory)" in caplog.text
        write(path, clients={})
        assert not known.client("pi-1", token)


class TestSeveralTokens:
    """While tokens are made anew, the old one and the new one of each are good."""

    def test_each_hash_of_a_list_is_good(self, path: Path) -> None:
        (one, first), (two, second) = new_token(), new_token()
        path.write_text(
            f'[clients]\npi-1 = ["{first}", "{second}"]\n[http]\nme = {{ hash = ["{first}", "{second}"], scopes = ["read"] }}\n'
        )
        known = Tokens(path)
        assert known.client("pi-1", one)
        assert known.client("pi-1", two)
        assert known.any_client(two)
        assert known.http(one) == known.http(two) == Visitor("me", frozenset({"metrics", "read"}))
        assert not known.client("pi-1", "guess")

    def test_every_hash_is_compared_whichever_fits(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (one, first), (_, second) = new_token(), new_token()
        path.write_text(f'[clients]\npi-1 = ["{first}", "{second}"]\n')
        known, compared = Tokens(path), []
        real = hmac.compare_digest
        monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(b) or real(a, b))
        assert known.client("pi-1", one)
        assert compared == [first, second]

    def test_former_tokens_come_and_go_in_a_file_of_their_own(self, path: Path) -> None:
        (one, first), (two, second) = new_token(), new_token()
        write(path, clients={"pi-1": first}, http={"me": first})
        known = Tokens(path)
        write(tokens.former(path), clients={"pi-1": first}, http={"me": first})
        write(path, clients={"pi-1": second})
        path.write_text(path.read_text() + http_entry("me", second, ["metrics"]))
        assert known.client("pi-1", one)
        assert known.client("pi-1", two)
        assert known.http(one) == Visitor("me", frozenset({"metrics"})), "an old token opens no more than the new one"
        tokens.former(path).unlink()
        assert not known.client("pi-1", one)
        assert known.client("pi-1", two)
        assert known.http(one) is None

    def test_who_is_taken_out_of_the_file_is_out_whatever_the_former_one_says(self, path: Path) -> None:
        token, hashed = new_token()
        write(tokens.former(path), clients={"pi-1": hashed}, http={"me": hashed})
        write(path, clients={"pi-2": new_token()[1]})
        known = Tokens(path)
        assert not known.client("pi-1", token)
        assert not known.any_client(token)
        assert known.http(token) is None
        assert known.clients() == ["pi-2"]


class TestBadFiles:
    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            ("[clients]\npi-1 = []\n", r'\[clients\] pi-1: expected "sha256:" and 64 hexadecimal digits, or a list'),
            (f'[clients]\npi-1 = ["{hash_of("x")}", 5]\n', r'\[clients\] pi-1: expected "sha256:"'),
            ('[clients]\npi-1 = "sha256:12"\n', r'\[clients\] pi-1: expected "sha256:" and 64 hexadecimal digits'),
            ("[http]\ninspector = 5\n", r"\[http\] inspector: expected"),
            (f'[http]\na = {{ hash = "{hash_of("x")}" }}\n', r"\[http\] a: scopes: expected a list of metrics, read, operate, admin"),
            (f'[http]\na = {{ hash = "{hash_of("x")}", scopes = [] }}\n', r"\[http\] a: scopes: expected a list"),
            (f'[http]\na = {{ hash = "{hash_of("x")}", scopes = "read" }}\n', r"\[http\] a: scopes: expected a list"),
            (f'[http]\na = {{ hash = "{hash_of("x")}", scopes = ["root"] }}\n', r"\[http\] a: scopes: expected a list"),
            (f'[http]\na = {{ hash = "{hash_of("x")}", scopes = ["read"], until = 5 }}\n', r"\[http\] a: until is not known"),
            ('[http]\na = { scopes = ["read"] }\n', r'\[http\] a: expected "sha256:"'),
            (f'[clients]\nPi_1 = "{hash_of("x")}"\n', r"\[clients\] Pi_1: the name is not a client id"),
            (f'[clients]\npi.kitchen = "{hash_of("x")}"\n', r"\[clients\] pi: expected"),
            (f'[client]\npi-1 = "{hash_of("x")}"\n', r"has \[client\], expected only the sections \[clients\] and \[http\]"),
            (f'pi-1 = "{hash_of("x")}"\n', r"has \[pi-1\], expected only the sections"),
            ("[clients]\n\npi-1 = sha256:00\n", r"is not TOML: .*line 3"),
            (f'[clients]\npi-1 = "{hash_of("x")}"\npi-1 = "{hash_of("y")}"\n', r"is not TOML: .*line 3"),
            (f'[clients]\npi-1 = "{hash_of("x").upper()}"\n', r"\[clients\] pi-1: expected"),
        ],
    )
    def test_are_refused_by_line_or_entry(self, path: Path, content: str, sentence: str) -> None:
        path.write_text(content)
        with pytest.raises(TokenError, match=sentence) as caught:
            Tokens(path)
        assert str(path) in str(caught.value)

    def test_a_token_put_in_place_of_its_hash_is_not_repeated_in_the_message(self, path: Path) -> None:
        token, _ = new_token()
        write(path, clients={"pi-1": token})
        with pytest.raises(TokenError) as caught:
            Tokens(path)
        assert token not in str(caught.value)

    def test_one_that_is_not_there(self, path: Path) -> None:
        with pytest.raises(TokenError, match=r"cannot be read \(No such file or directory\)"):
            Tokens(path)

    def test_one_that_is_not_text(self, path: Path) -> None:
        path.write_bytes(b"[clients]\n\xff\xfe")
        with pytest.raises(TokenError, match="not UTF-8 text"):
            Tokens(path)

    def test_one_without_entries_lets_nobody_in(self, path: Path) -> None:
        path.write_text("# nobody yet\n")
        assert not Tokens(path).client("pi-1", "anything")
