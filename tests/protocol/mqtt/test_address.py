"""Where a broker is, and who one is to it: what settings and sensors say of both."""

from __future__ import annotations

from pathlib import Path

import pytest

from bramble_protocol.mqtt.address import Address, BrokerError, Login, read_login, tls_context


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("mqtt://192.168.1.5", Address("192.168.1.5", 1883, False), "mqtt://192.168.1.5:1883"),
        ("mqtts://home.example/", Address("home.example", 8883, True), "mqtts://home.example:8883"),
        ("mqtt://[::1]:1884", Address("::1", 1884, False), "mqtt://[::1]:1884"),
    ],
)
def test_an_address_has_the_usual_port_unless_it_names_another(text: str, address: Address, shown: str) -> None:
    assert Address.parse(text) == address
    assert str(address) == shown


@pytest.mark.parametrize(
    "text",
    ["192.168.1.5", "http://h", "mqtt://", "mqtt://h:0", "mqtt://h:x", "mqtt://h/topic", "mqtt://h?a=b", f"mqtt://{'a' * 64}.example"],
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as mqtt://192\.168\.1\.5"):
        Address.parse(text)


def test_an_address_takes_no_password_for_addresses_are_logged() -> None:
    with pytest.raises(ValueError, match="they come in a file") as refused:
        Address.parse("mqtt://me:s3cret@h")
    assert "s3cret" not in str(refused.value)


def test_a_login_is_a_user_and_a_password_of_any_characters(tmp_path: Path) -> None:
    (tmp_path / "login").write_text("pi\n a:b c\n")
    assert read_login(tmp_path / "login", "--mqtt-login") == Login("pi", " a:b c")


@pytest.mark.parametrize(("content", "why"), [(None, "cannot read"), (b"pi\n", "its second"), (b"\n\n", "its second"), (b"\xff\n\n", "no")])
def test_a_login_file_that_is_none_is_named_without_what_it_holds(tmp_path: Path, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / "login").write_bytes(content)
    with pytest.raises(BrokerError, match=f"--mqtt-login: .*{why}"):
        read_login(tmp_path / "login", "--mqtt-login")


def test_an_authority_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for name, why in (("ca.pem", "holds no certificate"), ("gone.pem", "cannot read")):
        with pytest.raises(BrokerError, match=f"--mqtt-ca: .*{why}"):
            tls_context(tmp_path / name, "--mqtt-ca")
