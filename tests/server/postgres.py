"""A PostgreSQL of a test's own: a cluster in a folder that goes with it, on a free port, with a password. Needs Debian's postgresql."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from sqlalchemy import create_engine, text

from tests.ports import kept

PASSWORD = "h0ney"


def programs() -> Path | None:
    """Return the folder of the newest PostgreSQL's programs, which Debian keeps off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


class Cluster:
    """One cluster. PostgreSQL refuses to run as root, so there it runs as nobody.

    Parameters
    ----------
    bin
        What ``programs`` returned.
    """

    def __init__(self, bin: Path) -> None:
        self._bin = bin
        self._folder = Path(tempfile.mkdtemp(prefix="bramble-postgresql-"))  # not below pytest's, which only its owner may enter
        self._as: dict[str, int | str] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid}
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run("initdb", "-D", "data", "-U", "bramble", "-A", "scram-sha-256", "--pwfile", "password", "--no-sync", "--locale=C.UTF-8")
        self.port = kept()
        self.start()

    @property
    def url(self) -> str:
        """Its URL, with the password in it."""
        return self.bare_url.replace("bramble@", f"bramble:{PASSWORD}@")

    @property
    def bare_url(self) -> str:
        """Its URL without the password."""
        return f"postgresql+psycopg://bramble@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and return once it takes connections."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "start", "-w", "-s", "-D", "data", "-l", "log", "-o", options)

    def stop(self) -> None:
        """Stop it, whoever is connected."""
        self._run("pg_ctl", "stop", "-w", "-s", "-m", "fast", "-D", "data")

    def empty(self) -> None:
        """Drop all that is in it."""
        engine = create_engine(self.url)
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        engine.dispose()

    def remove(self) -> None:
        """Stop it and delete it."""
        if (self._folder / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._folder)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        done = subprocess.run(
            command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, **self._as,
        )  # type: ignore[call-overload]  # fmt: skip
        assert done.returncode == 0, done.stderr
