"""Settings of rounds, which mean the same to a server and to a simulation: each with its range and its sentence, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import BaseSettings, NoDecode

from bramble_protocol.amounts import seconds

if TYPE_CHECKING:
    from bramble_protocol.messages import TrainConfig

Seconds = Annotated[float, BeforeValidator(seconds)]
OPTIONED = ("strategy", "codec", "selection")
"""Settings that name something of which more can be set: by options, or in a table with its name."""


def pairs(value: Any) -> dict[str, Any]:
    """Read what is given as ``key=value``, one or a list or, in an environment variable, several with commas between; or as a table."""
    if isinstance(value, Mapping):
        return {str(name).replace("-", "_"): item for name, item in value.items()}
    wanted = "a parameter is written key=value, such as mu=0.1"
    if not isinstance(value, str | list | tuple):
        raise ValueError(wanted)
    found: dict[str, Any] = {}
    for item in value.split(",") if isinstance(value, str) else value:
        name, given, text = str(item).partition("=")
        name = name.strip().replace("-", "_")
        if not name or not given:
            raise ValueError(wanted)
        if name in found:
            raise ValueError(f"{name} is given twice")
        found[name] = text.strip()
    return found


def cohort(value: Any) -> int | float | None:
    """Read how many clients a round asks: a whole number of them, or a part of those that there are."""
    wanted = "expected a number of clients, such as 20, or a part of them above 0 and at most 1, such as 0.1"
    if value is None:
        return None
    try:
        number = value if isinstance(value, int | float) else float(value) if "." in str(value) else int(str(value))
    except ValueError:
        raise ValueError(wanted) from None
    if not (number >= 1 if isinstance(number, int) else 0 < number <= 1):
        raise ValueError(wanted)
    return number


class RoundSettings(BaseSettings):
    """How a round goes: what clients are asked, how long it may take, and what becomes of their updates."""

    optioned: ClassVar[tuple[str, ...]] = OPTIONED

    horizon: int | None = Field(None, ge=1, description="Bins to forecast ahead, instead of the task's own number.")
    step: Seconds | None = Field(
        None, ge=0.001, le=1e7, description="Length of a bin, such as 10m, instead of the task's own.", json_schema_extra={"cli": "str"}
    )
    window: int | None = Field(
        None, ge=1, description="Bins of a window, instead of the task's own number; only where its graph takes so many."
    )
    strategy: str = Field(
        "fedavg",
        description="How updates become the next model; bramble strategies lists all.",
        json_schema_extra={"values": "strategies"},
    )
    strategy_option: Annotated[dict[str, Any], NoDecode, BeforeValidator(pairs)] = Field(
        {},
        description="A parameter of the strategy, such as mu=0.1; may be given more than once.",
        json_schema_extra={"cli": "repeat", "shown": "", "metavar": "KEY=VALUE"},
    )
    discipline: Literal["synchronous", "asynchronous"] = Field(
        "synchronous",
        description="When a round is over: once all that it asked have answered, or, asynchronous, once any --buffer updates have come; "
        "the strategy should then go less than the whole step, such as fedavgm with momentum=0 and learning_rate=0.3.",
    )
    buffer: int = Field(10, ge=1, le=100_000, description="Updates that make the next model in asynchronous rounds.")
    max_staleness: int = Field(
        20, ge=0, le=1000, description="Asynchronous rounds that may end while a client trains; what it then brings counts no more."
    )
    staleness_exponent: float = Field(
        0.5, ge=0, le=10, description="An update that is s asynchronous rounds old counts 1 / (1 + s) to the power of this; 0: as any."
    )
    concurrency: int | None = Field(
        None, ge=1, description="Clients that train at once in asynchronous rounds.", json_schema_extra={"shown": "all that are able"}
    )
    clients_per_round: Annotated[int | float | None, BeforeValidator(cohort)] = Field(
        None,
        description="Clients of which a round wants updates: a number, or a part of those that could take part, such as 0.1; without it "
        "all are asked.",
        json_schema_extra={"cli": "str", "shown": "all", "metavar": "NUMBER"},
    )
    over_selection: float = Field(
        1.0, ge=1, le=10, description="How many times more clients are asked; the round is over with as many updates as it wants."
    )
    selection: str = Field(
        "uniform",
        description="How the clients of a round are chosen; bramble strategies --selections lists all ways.",
        json_schema_extra={"values": "selections"},
    )
    selection_option: Annotated[dict[str, Any], NoDecode, BeforeValidator(pairs)] = Field(
        {},
        description="A parameter of the selection, such as tiers=3; may be given more than once.",
        json_schema_extra={"cli": "repeat", "shown": "", "metavar": "KEY=VALUE"},
    )
    seed: int | None = Field(
        None, ge=0, le=2**31 - 1, description="Of all that is drawn, cohorts and shuffles, instead of the task's own number."
    )
    quarantine: int = Field(
        0,
        ge=0,
        le=1000,
        description="Ask a client no more whose updates were unlike the others' in so many rounds more than not, until an operator lets it "
        "back (bramble client release); 0: never. A strategy that compares nobody's updates has none.",
    )
    min_updates: int = Field(1, ge=1, description="Updates below which a round is abandoned.")
    deadline: Seconds = Field(
        60.0,
        gt=0,
        le=1e6,
        description="Longest that a round may take, such as 90s or 10m.",
        json_schema_extra={"cli": "str", "shown": "60s"},
    )
    adaptive_deadline: float | None = Field(
        None,
        ge=1,
        le=100,
        description="End rounds sooner than --deadline: after so many times what nine in ten of their clients took in rounds before.",
    )
    epochs: int | None = Field(None, ge=1, le=1000, description="Local epochs in a round, instead of the task's own number.")
    batch_size: int | None = Field(None, ge=1, le=65536, description="Windows in a minibatch, instead of the task's own number.")
    learning_rate: float | None = Field(None, gt=0, le=1000, description="Clients' learning rate, instead of the task's own.")
    encoding: Literal["float32", "float16"] = Field("float32", description="How weights travel to the clients.")
    codec: str = Field(
        "float32",
        description="How weights travel back: float32, float16, delta-float16, int8, delta-int8 or topk. A client that does not know it "
        "sends float32, and in place of delta-float16 float16.",
        json_schema_extra={"values": "codecs"},
    )
    codec_option: Annotated[dict[str, Any], NoDecode, BeforeValidator(pairs)] = Field(
        {},
        description="A parameter of the codec, such as share=0.01 of topk; may be given more than once.",
        json_schema_extra={"cli": "repeat", "shown": "", "metavar": "KEY=VALUE"},
    )

    @model_validator(mode="before")
    @classmethod
    def _tables_taken_apart(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Take a table such as ``[server.strategy]`` apart: its name, and the parameters that flags may change one by one."""
        for setting in cls.optioned:
            table = given.get(setting)
            if isinstance(table, Mapping):
                options = {name: value for name, value in table.items() if name != "name"}
                given[setting] = table.get("name", cls.model_fields[setting].default)
                given[f"{setting}_option"] = {**pairs(options), **pairs(given.get(f"{setting}_option", {}))}
        return given

    @model_validator(mode="after")
    def _asynchronous_rounds_can_end(self) -> Self:
        if self.discipline == "synchronous":
            return self
        if self.buffer < self.min_updates:
            raise ValueError(f"--buffer {self.buffer} is less than --min-updates {self.min_updates}: no round could ever commit")
        if self.concurrency is not None and self.concurrency < self.buffer:
            raise ValueError(f"--concurrency {self.concurrency} is less than --buffer {self.buffer}, which would never be full")
        for name in ("clients_per_round", "adaptive_deadline", "over_selection", "selection", "selection_option"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(
                    f"--{name.replace('_', '-')} is for synchronous rounds; asynchronous ones ask whoever waited longest, "
                    "and as many at once as --concurrency says"
                )
        return self

    @model_validator(mode="after")
    def _cohort_fits(self) -> Self:
        share = self.clients_per_round
        if isinstance(share, int) and share < self.min_updates:
            raise ValueError(f"--clients-per-round {share} is less than --min-updates {self.min_updates}: no round could commit")
        if self.selection == "poisson" and share is not None and (isinstance(share, int) or self.over_selection > 1):
            raise ValueError(
                "--selection poisson asks each client with a probability: say which, as in --clients-per-round 0.1, and leave "
                "--over-selection out"
            )
        for name in ("over_selection", "selection", "selection_option") if share is None else ():
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"--{name.replace('_', '-')} is of no use where all clients are asked: say --clients-per-round, too")
        return self

    @property
    def rounds_go_by(self) -> dict[str, Any]:
        """The discipline of rounds and what is set of it, as JSON can hold it."""
        names = ("buffer", "max_staleness", "staleness_exponent", "concurrency") if self.discipline == "asynchronous" else ()
        return {"name": self.discipline, "parameters": {name: getattr(self, name) for name in names}}

    def training(self, task: TrainConfig) -> TrainConfig:
        """Return how clients train: as the task says, but for what is set here."""
        chosen = {name: getattr(self, name) for name in ("epochs", "batch_size", "learning_rate", "seed")}
        return replace(task, deadline_s=self.deadline, **{name: value for name, value in chosen.items() if value is not None})
