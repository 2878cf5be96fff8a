"""One server on a real PostgreSQL, which loses its connections and is away for a while: nothing is lost, and little is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from tests.server.pi import Pi, update
from tests.server.postgres import PASSWORD, Cluster
from tests.server.process import ServerProcess
from tests.waiting import wait_for


def ready(server: ServerProcess) -> tuple[int, Any]:
    status, content, _ = server.request("GET", "/readyz")
    return status, content


def trains(server: ServerProcess, pi: Pi) -> int:
    number: int = server.api.start()["round"]
    while pi.next("client_update")["round"] != number:
        pass
    assert pi.call("training_complete", update(number, float(number))) == {"accepted": True}
    wait_for(lambda: server.api.status()["round"] == number, "the commit")
    return number


def test_a_server_on_postgresql_goes_on_after_it_was_away(postgresql: Cluster, tmp_path: Path) -> None:
    engine = create_engine(postgresql.url)
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    flags = ("--database", postgresql.bare_url, "--database-password-file", str(secret), "--min-clients", "1", "--deadline", "1h")
    with ServerProcess(tmp_path, *flags) as server, Pi(server.url) as pi:
        first = trains(server, pi)
        assert ready(server) == (200, {"ready": True})
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"))
        engine.dispose()
        trains(server, pi)

        number = server.api.start()["round"]
        while pi.next("client_update")["round"] != number:
            pass
        postgresql.stop()
        status, content = ready(server)
        assert status == 503
        assert "cannot be reached" in content["error"]
        assert server.api.healthy()
        assert b"bramble_database_up 0.0" in server.request("GET", "/metrics")[1]
        assert server.request("GET", "/rounds")[0] == 503
        assert pi.call("training_complete", update(number, 9.0)) == {"accepted": True}
        wait_for(lambda: server.api.status()["running"] is None, "the round to end")
        assert server.request("GET", "/")[0] == 503, "no round starts that cannot be on record"

        postgresql.start()
        wait_for(lambda: ready(server)[0] == 200, "it to be ready")
        record = server.ended(number)
        assert record["state"] == "abandoned"
        assert b"bramble_database_up 1.0" in server.request("GET", "/metrics")[1]
        last = trains(server, pi)
        assert [round["state"] for round in server.api.rounds()] == ["committed", "committed", "abandoned", "committed"]
        assert (first, last) == (1, 4)
        log = server.log()
        assert log.count("; it is tried again") == 1
        assert log.count("works again") == 1
        assert "Traceback" not in log
        assert PASSWORD not in log
        server.stop()
    with ServerProcess(tmp_path, *flags) as again:
        assert again.api.status()["round"] == last
    engine.dispose()
