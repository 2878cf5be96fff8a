"""The folder of secrets on the controller: its private files are under Ansible Vault, with the vault password of this very run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError

MARK = b"$ANSIBLE_VAULT"
ELSE = "put it back from a copy of that folder, or, if there is none, move it away and deploy"


class Vault:
    """Files of a folder; the private ones under vault.

    Parameters
    ----------
    folder
        Made when the first file is written.
    vault
        Ansible's ``VaultLib`` with the passwords of this run.
    dry
        Write nothing.
    """

    def __init__(self, folder: Path, vault: Any, dry: bool) -> None:
        self.folder, self._vault, self._dry = folder, vault, dry
        self.changed: list[str] = []

    def public(self, name: str) -> bytes:
        """Return what a file holds that is nobody's secret; nothing without such a file."""
        return self._read(name) or b""

    def private(self, name: str) -> bytes | None:
        """Return what a private file holds, decrypted if it is under vault; None without such a file. An empty one was cut short."""
        content = self._read(name)
        if content is not None and content.startswith(MARK):
            content = self._decrypted(self.folder / name, content)
        if content is not None and not content.strip():
            raise self.damaged(name, "it is empty")
        return content

    def damaged(self, name: str, why: str) -> AnsibleActionFail:
        """Return what to say of a private file that holds something else than it should: it is not made anew unasked."""
        return AnsibleActionFail(f"{self.folder / name} is damaged ({why}): {ELSE}. Nothing was changed on any host.")

    def write(self, name: str, content: bytes, private: bool) -> None:
        """Replace a file in one step, which no power cut undoes."""
        self.changed.append(name)
        if private and not self._vault.secrets:
            raise AnsibleActionFail(
                f"{self.folder / name} is to be made, and private files are kept under vault: pass a vault password, "
                "by --vault-password-file or --ask-vault-pass"
            )
        if self._dry:
            return
        unfinished = self.folder / f".{name}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o644), "wb") as file:
                file.write(self._vault.encrypt(content) if private else content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self.folder / name)
        except OSError as error:
            raise AnsibleActionFail(
                f"{self.folder / name} cannot be written on this controller ({error.strerror}): mend that, and run this again"
            ) from None

    def _read(self, name: str) -> bytes | None:
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AnsibleActionFail(f"{self.folder / name} cannot be read on this controller ({error.strerror}): mend that first") from None

    def _decrypted(self, path: Path, content: bytes) -> bytes:
        if (plain := self._opened(content)) is not None:
            return plain
        for other in sorted(self.folder.glob("[!.]*.*")):
            if other.name != path.name and (beside := self._read(other.name) or b"").startswith(MARK) and self._opened(beside) is not None:
                raise AnsibleActionFail(
                    f"{path} does not open with this vault password, which opens {other.name} beside it: it is damaged, or was made with "
                    f"another password (pass that one as well, by --vault-id); {ELSE}"
                )
        raise AnsibleActionFail(
            f"{path} does not open with this vault password: pass the one it was made with (--vault-password-file or "
            "--ask-vault-pass); if it is lost, move that folder away and deploy"
        )

    def _opened(self, content: bytes) -> bytes | None:
        try:
            plain: bytes = self._vault.decrypt(content)
        except AnsibleError:
            return None
        return plain
