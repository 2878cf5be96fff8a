"""The tables as this version reads and writes them. A change to them needs a migration: see ``migrations/``."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table

metadata = MetaData()

meta = Table("meta", metadata, Column("name", String(63), primary_key=True), Column("value", JSON))

rounds = Table(
    "rounds",
    metadata,
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("state", String(10), nullable=False),  # running, committed or abandoned
    Column("reason", String(500)),
    Column("started", Float, nullable=False),
    Column("ended", Float),
    Column("selected", Integer, nullable=False),
    Column("updates", Integer, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("rollback_of", Integer),  # the older round whose model this one brought back; NULL for one that clients trained
    Column("task", String(63), nullable=False),  # by its name; the numbers go through all tasks
    Column("how", JSON(none_as_null=True)),  # what it went by, by kind; NULL before release 0.2, and of a rollback
    Index("rounds_task", "task", "round"),
)

MEASURES = (
    *("sent", "received", "train_start", "train_end", "replied", "bytes", "samples"),
    *("loss_before", "loss_after", "test_error", "test_baseline", "test_samples", "update_norm", "cosine", "distance", "asked"),
)
"""What is known of one client's part in a round: times as seconds since 1970 UTC, counts, norms over all parameters, and ``asked``, the
earlier round that it was asked in, if it was.
"""

updates = Table(
    "updates",
    metadata,
    Column("round", ForeignKey("rounds.round", ondelete="CASCADE"), primary_key=True),
    Column("client", String(63), primary_key=True),
    *(Column(name, Integer if name in ("bytes", "samples", "test_samples", "asked") else Float) for name in MEASURES),
    Column("reason", String(500)),  # why the round went on without this client
)

models = Table(
    "models",
    metadata,
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("weights", LargeBinary, nullable=False),  # float32, little-endian, in layout order; empty where they have a file
    Column("file_check", BigInteger),  # CRC-32 of that file (weights.py); NULL where there is none
    Column("strategy", String(63)),  # what made it; NULL before release 0.2
    Column("parameters", JSON(none_as_null=True)),  # what was set of that
    Column("counts", JSON(none_as_null=True)),  # what the round's clients counted, pooled; NULL where they count nothing
    Column("task", String(63), nullable=False),
    Index("models_task", "task", "round"),  # else to find a task's, SQLite would read through the weights, which come before its name
)

strategy_state = Table(
    "strategy_state",
    metadata,
    Column("round", ForeignKey("models.round", ondelete="CASCADE"), primary_key=True),  # the model that it belongs to
    Column("name", String(63), primary_key=True),
    Column("dtype", String(8), nullable=False),  # numpy's, little-endian
    Column("shape", JSON, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

standings = Table(
    "standings",
    metadata,
    Column("round", ForeignKey("models.round", ondelete="CASCADE"), primary_key=True),  # the model that it is about
    Column("error", Float),  # means over readings that nobody had trained on; NULL before any came
    Column("baseline", Float),
    Column("samples", Integer),
    Column("champion", Boolean, nullable=False),  # one of each task; its model is kept
    Column("pinned", Boolean, nullable=False),
    Column("worse", Integer, nullable=False),  # of a champion: rounds in a row in which the newest model was worse
)

latest_updates = Table(
    "latest_updates",
    metadata,
    Column("task", String(63), primary_key=True),
    Column("client", String(63), primary_key=True),
    Column("round", Integer, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("update_norm", Float),
    Column("cosine", Float),
    Column("distance", Float),
    Column("weights", LargeBinary),  # in evaluation mode only
)

clients = Table(
    "clients",
    metadata,
    Column("id", String(63), primary_key=True),
    Column("simulated", Boolean, nullable=False),
    Column("version", String(40), nullable=False),
    Column("protocol", Integer, nullable=False),
    Column("channels", JSON, nullable=False),
    Column("groups", JSON),
    *(Column(name, Float(53), nullable=False) for name in ("first_seen", "since", "last_seen")),  # seconds since 1970 UTC
    Column("last_cycle", Integer),
    Column("health", JSON),
    Column("health_at", Float(53)),
    Column("past", JSON(none_as_null=True)),  # its log, and what came from it; NULL before that was kept
)

courses = Table(
    "courses",
    metadata,
    Column("client", ForeignKey("clients.id", ondelete="CASCADE"), primary_key=True),
    *(Column(name, Float(53), nullable=False) for name in ("began", "every")),
    Column("points", LargeBinary, nullable=False),  # how its machine was, as chronicle.py lays it out
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("evaluation", Integer, primary_key=True, autoincrement=False),
    Column("task", String(63), nullable=False),
    Column("models", JSON, nullable=False),  # their rounds
    *(Column(name, Float(53), nullable=name == "ended") for name in ("started", "until", "ended")),  # NULL while it is open
    Index("evaluations_task", "task", "evaluation"),
)

scores = Table(
    "scores",
    metadata,
    Column("evaluation", ForeignKey("evaluations.evaluation", ondelete="CASCADE"), primary_key=True),
    Column("client", String(63), primary_key=True),
    Column("samples", Integer),  # windows that every model was tried on
    Column("baseline", Float(53)),  # mean over them
    Column("errors", JSON(none_as_null=True)),  # the same of each model, by its round
    Column("counts", JSON(none_as_null=True)),  # what was counted there of each model, by its round; NULL where nothing is
    Column("reason", String(500)),  # why there is nothing; NULL too while it is waited for
)
