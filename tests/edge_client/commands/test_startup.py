from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from bramble_client.commands.startup import StartError, exclusive, read_token, tls_context
from tests.warm import environment


def test_a_token_is_the_one_word_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("  s3cret-token\n")
    assert read_token(path) == "s3cret-token"


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"\xff\xfe", b"x" * 501])
def test_a_file_that_holds_no_token_is_named_and_what_it_holds_is_not(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(StartError, match="--token-file") as caught:
        read_token(path)
    assert str(path) in str(caught.value)
    assert "words" not in str(caught.value)


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"--token-file: cannot read .*missing \(No such file"):
        read_token(tmp_path / "missing")
    with pytest.raises(StartError, match=r"--token-file: cannot read .* \(Is a directory"):
        read_token(tmp_path)


def test_an_authority_is_trusted_alone(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(path)
    context = tls_context(path)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1


def test_an_authority_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"--ca: cannot read .*missing\.pem \(No such file"):
        tls_context(tmp_path / "missing.pem")
    (tmp_path / "ca.pem").write_text("this is no certificate")
    with pytest.raises(StartError, match=r"--ca: .*ca\.pem holds no certificate in PEM form"):
        tls_context(tmp_path / "ca.pem")


HOLDER = """
import sys
from pathlib import Path
from bramble_client.commands.startup import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_data_folder_belongs_to_one_client_until_it_ends_however_it_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "pi-1")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StartError, match="is in use by another client"), exclusive(tmp_path / "pi-1"):
            pass
        holder.kill()
    with exclusive(tmp_path / "pi-1") as folder:
        assert folder.is_dir()


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match=r"--data-dir: cannot use .*file/pi-1 \(Not a directory"), exclusive(tmp_path / "file" / "pi-1"):
        pass
