"""The authority and the certificate of a first fleet."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509

from bramble.quickstart.identity import AUTHORITY_DAYS, certify
from bramble_protocol import BrambleError

NOW = dt.datetime(2026, 11, 27, tzinfo=dt.UTC)
FILES = ("ca.key", "ca.crt", "server.key", "server.crt")


def made(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def test_the_server_shows_a_certificate_of_the_authority_for_its_address_and_this_machine(tmp_path: Path) -> None:
    certify(tmp_path, "192.168.1.10", NOW)
    ca, shown = (x509.load_pem_x509_certificate((tmp_path / name).read_bytes()) for name in ("ca.crt", "server.crt"))
    shown.verify_directly_issued_by(ca)
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert sorted(str(name.value) for name in names) == ["127.0.0.1", "192.168.1.10", "localhost"]
    assert ca.not_valid_after_utc - NOW == dt.timedelta(days=AUTHORITY_DAYS)
    assert shown.not_valid_before_utc < NOW, "a Pi's clock may be behind"
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == (tmp_path / "server.key").stat().st_mode & 0o777 == 0o600


def test_what_is_good_stays_and_another_address_or_age_gets_another_certificate_of_the_same_authority(tmp_path: Path) -> None:
    certify(tmp_path, "192.168.1.10", NOW)
    first = made(tmp_path)
    certify(tmp_path, "192.168.1.10", NOW + dt.timedelta(days=700))
    assert made(tmp_path) == first
    for address, later in (("hub.local", 0), ("hub.local", 800)):
        before = made(tmp_path)
        certify(tmp_path, address, NOW + dt.timedelta(days=later))
        after = made(tmp_path)
        assert {name for name in FILES if before[name] != after[name]} == {"server.key", "server.crt"}


@pytest.mark.parametrize("name", ["ca.key", "ca.crt", "server.crt"])
def test_what_is_damaged_is_named_and_never_written_over(tmp_path: Path, name: str) -> None:
    certify(tmp_path, "192.168.1.10", NOW)
    (tmp_path / name).write_text("nothing")
    with pytest.raises(BrambleError, match="is damaged; delete the folder to begin anew"):
        certify(tmp_path, "192.168.1.10", NOW)
    assert (tmp_path / name).read_text() == "nothing"
