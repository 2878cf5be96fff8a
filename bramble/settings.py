"""Settings of the commands that belong to no room."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bramble.reach import ReachSettings
from bramble_protocol.server_address import server_address
from bramble_server.round_settings import OPTIONED, RoundSettings, Seconds, pairs
from bramble_server.settings import names
from bramble_server.tracking import checked


class DemoSettings(BaseSettings):
    """Run the whole product on this machine. That is the server, mock-sensor clients as real processes, and the inspector."""

    model_config = SettingsConfigDict(env_prefix="BRAMBLE_DEMO_", extra="ignore")

    clients: int = Field(5, ge=1, le=50, description="How many clients; each replays the recording of another place.")
    rounds: int = Field(
        10, ge=1, le=150, description="How many rounds; together they live through the recorded year, or through hours in simulated rooms."
    )
    task: Literal["climate", "room"] = Field(
        "climate", description="What is learnt: the temperature in some hours from recorded weather, or in 15 minutes from simulated rooms."
    )
    exit: bool = Field(
        False, description="Stop after the last round, with code 0 only if all of them committed.", json_schema_extra={"flags": "--exit"}
    )
    port: int = Field(5000, ge=0, le=65535, description="Port of the server; 0 takes a free one.")
    inspector_port: int = Field(8050, ge=0, le=65535, description="Port of the inspector; 0 takes a free one.")
    data_dir: Path | None = Field(None, description="Keep data and logs here; without it a temporary folder is removed at the end.")


class WorkersSettings(BaseSettings):
    """How much of this machine a simulation takes."""

    workers: int = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)), ge=1, le=256, description="Clients that train at once.",
        json_schema_extra={"shown": "one a processor"},
    )  # fmt: skip
    backend: Literal["threads", "ray"] = Field(
        "threads", description="Who trains them: threads of this process, or processes of Ray, which takes pip install 'bramble-fl[ray]'."
    )
    log_to: Annotated[str, AfterValidator(checked)] | None = Field(
        None, description="Write curves there, too: tensorboard:FOLDER (bramble-fl[tensorboard]), or mlflow:ADDRESS of a tracking server."
    )
    ray_address: str | None = Field(
        None, description="Ray cluster to train on, such as 192.0.2.10:6379; without it one is started on this machine.",
    )  # fmt: skip


class SimulateSettings(RoundSettings, WorkersSettings):
    """Let a whole fleet learn in simulated time. Strategies, rounds and local runs are those of server and clients; neither is started.

    Each client knows a stretch of a place's readings; the last tenth of every place is held out, and each model is tried on it. The same
    seed gives the same model, bit by bit, whatever the number of workers.
    """

    model_config = SettingsConfigDict(env_prefix="BRAMBLE_SIMULATE_", extra="ignore")
    optioned: ClassVar = (*OPTIONED, "attack")

    clients: int = Field(100, ge=1, le=100_000, description="How many clients.")
    rounds: int = Field(20, ge=1, le=100_000, description="How many rounds.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of everything that is drawn.")
    task: str = Field(
        "climate",
        description="Task by its name (bramble task list), or the path of an exported graph.",
        json_schema_extra={"values": "installed tasks"},
    )
    scenario: Path | None = Field(None, description="TOML file that says who is slow, away or lost; without it all is well.")
    attack: str = Field("none", description="What some clients do: flip, scale, labels, backdoor, freeride, or dead, a sensor that died.")
    attack_option: Annotated[dict[str, Any], NoDecode, BeforeValidator(pairs)] = Field(
        {},
        description="A parameter of the attack, such as times=5; may be given more than once.",
        json_schema_extra={"cli": "repeat", "shown": "", "metavar": "KEY=VALUE"},
    )
    attackers: float = Field(0.2, ge=0, le=1, description="Part of the clients that do it, the same always.")
    judged: bool = Field(
        True,
        description="Whether updates are judged beside each other, as a server does; without it a strategy shows what it is worth alone.",
        json_schema_extra={"flags": "--judged/--unjudged"},
    )
    data: str | None = Field(
        None, description="Folder of CSV files, one a place, or the name of a function that a package offers; without it the recordings."
    )
    windows: int = Field(500, ge=1, description="Windows that each client knows at least; where places are few, they overlap.")
    out: Path | None = Field(None, description="Folder for the results: rounds and clients as CSV, and as Parquet with pyarrow installed.")
    as_json: bool = Field(
        False, description="Print the results as JSON on stdout, and the progress on stderr.", json_schema_extra={"flags": "--json"}
    )


class SideBySideSettings(RoundSettings):
    """What the table ``[fleet]`` of an experiment says: how one run of a running fleet goes."""

    task: str | None = Field(None, description="Which of the server's tasks is learnt; its first without it.")
    rounds: int = Field(10, ge=1, le=1000, description="How many rounds.")
    every: Seconds = Field(0.0, ge=0, le=1e7, description="Time between two rounds, in which clients measure anew, such as 1h.")
    generate: int | None = Field(None, ge=1, le=10_000, description="Readings that clients take before each round (evaluation mode).")


class OutputSettings(BaseSettings):
    """How a command says what it found."""

    as_json: bool = Field(False, description="Print JSON instead of lines.", json_schema_extra={"flags": "--json"})


class ExperimentSettings(OutputSettings, WorkersSettings, ReachSettings):
    """Run a grid of simulations from one file, and write a report. Each has several seeds, and it a table, curves and how to repeat it.

    What was run is kept: after Ctrl-C, or with values added to the grid, the same command runs what is left.
    A file with [fleet] has the clients of --server learn all of it side by side, each run as a task of its own.
    """

    model_config = SettingsConfigDict(env_prefix="BRAMBLE_EXPERIMENT_", extra="ignore")

    file: str = Field(
        description="The experiment: a title, [simulate] or [fleet] for all of its runs, and [grid] with lists of what differs."
    )
    out: Path | None = Field(None, description="Folder for the results; by default the file's name without its ending.")
    key: Path | None = Field(None, description="Sign a fleet's graphs with this private key, for clients in private mode.")


class PrivacyPlanSettings(BaseSettings):
    """Say what noise a privacy budget takes, and what it costs. A simulated fleet learns with that noise and without.

    The budget is differential privacy's, for models that many may see: how much they tell of whether a client took part at all.
    """

    model_config = SettingsConfigDict(env_prefix="BRAMBLE_PRIVACY_", extra="ignore")

    clients: int = Field(100, ge=1, le=100_000, description="How many clients there are to take part.")
    rounds: int = Field(200, ge=1, le=1_000_000, description="How many rounds there will be in all.")
    share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Probability with which each client is asked in a round, by a coin of its own that nobody sees; 1: all are asked.",
    )
    epsilon: float = Field(8.0, gt=0, le=1e3, description="What a client may lose in all of them.")
    delta: float = Field(1e-5, gt=0, lt=1, description="The probability with which that may not hold; well below one in the clients.")
    task: str = Field(
        "climate",
        description="Task whose model it is, by its name or the path of its graph.",
        json_schema_extra={"values": "installed tasks"},
    )
    strategy: str = Field(
        "fedavg",
        description="What makes the model of the sum: any strategy that needs no more, such as fedavgm.",
        json_schema_extra={"values": "strategies"},
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of the simulation.")
    workers: int = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)), ge=1, le=256, description="Simulated clients that train at once.",
        json_schema_extra={"shown": "one a processor"},
    )  # fmt: skip
    simulate: bool = Field(
        True, description="Whether to simulate it, which takes minutes.", json_schema_extra={"flags": "--simulate/--no-simulate"}
    )
    as_json: bool = Field(False, description="Print JSON on stdout.", json_schema_extra={"flags": "--json"})


class OperatorSettings(OutputSettings, ReachSettings):
    """How a command reaches the server over HTTP, and says what it answered."""

    model_config = SettingsConfigDict(env_prefix="BRAMBLE_FLEET_", extra="ignore")


class TaskSettings(OperatorSettings):
    """What a command is about, where a server has several tasks."""

    task: str | None = Field(None, description="Which of the server's tasks; its first without it.", json_schema_extra={"values": "tasks"})


class FleetSettings(OperatorSettings):
    """Show how every client is. That is its version, newest sample, last round, and how its machine is.

    The exit code is 1 if somebody needs you, or if the server does not answer.
    """

    sick: bool = Field(False, description="Show only those that need somebody.")
    as_json: bool = Field(
        False, description="Print JSON instead of a table; the exit code is then 0, whoever is sick.", json_schema_extra={"flags": "--json"}
    )


class AuditSettings(OperatorSettings):
    """Show who changed what. Every request that started, reset or changed anything is there, and no reset clears it.

    It takes a token with the scope admin. The exit code is 4 if a line is missing or was changed.
    """

    limit: int = Field(30, ge=1, le=1000, description="How many of the newest changes.")


class GroupsSettings(OperatorSettings):
    """Compare a group's own model with everybody's.

    That is for a task that is served twice, for the group alone and for more. Each model is judged by the readings that the group's clients
    had not trained on when they forecast them, in the rounds before now.
    """

    limit: int = Field(20, ge=1, le=1000, description="Rounds of each task to go by, the newest that made a model.")


class ReleaseSettings(TaskSettings):
    """Have a client be asked for rounds again that is in quarantine. Its updates were unlike the others' for long.

    See to its sensors and its software first, or to who has its token: if it goes on, it is in quarantine again soon.
    """

    client: str = Field(description="Its id.", json_schema_extra={"values": "clients"})


class ForgetSettings(OperatorSettings):
    """Take a client that will not come back off the server's list. With it go the alerts about who is missing."""

    client: str = Field(
        description="Its id. With tokens on, take its token away first: whoever has one and is not there is missing.",
        json_schema_extra={"values": "clients"},
    )


class ListClientsSettings(OperatorSettings):
    """Show every client that the server has ever seen. It says where it is, what it speaks, which tasks it takes part in, or why not."""


class LatestSettings(OutputSettings):
    """Show what a client on this machine forecasts, and what it goes by. It asks no server: the client says it in a file."""

    model_config = SettingsConfigDict(env_prefix="BRAMBLE_LATEST_", extra="ignore")

    file: Path = Field(
        Path("/run/bramble-client/latest.json"),
        description="The client's file; of one that systemd does not run, latest.json in its --data-dir.",
    )


class ReceiptSettings(OutputSettings):
    """Show what left a client on this machine. It is the client's own account: when, what, how much, for which round.

    No server is asked. The exit code is 4 if a line is missing or was changed.
    """

    model_config = SettingsConfigDict(env_prefix="BRAMBLE_RECEIPT_", extra="ignore")

    data_dir: Path = Field(Path("/var/lib/bramble-client"), description="The client's data folder.")
    lines: int = Field(20, ge=0, description="How many of the newest lines are shown; the totals are of all.")


class StopRoundsSettings(TaskSettings):
    """End asynchronous rounds with what has come.

    None follows until somebody starts one.
    """


class StartRoundSettings(TaskSettings):
    """Start a round of federated averaging. With --wait it goes on from before the server is up until the round has ended."""

    generate: int | None = Field(
        None, ge=1, le=10_000, description="First have every client take so many readings, and wait until all have (evaluation mode)."
    )
    wait: bool = Field(
        False,
        description="Wait for the server and enough clients, then for the round; the exit code is 1 if it was abandoned.",
        json_schema_extra={"flags": "--wait"},
    )
    within: Seconds = Field(
        300.0, gt=0, le=1e6, description="Longest time to wait for each of these.", json_schema_extra={"cli": "str", "shown": "5m"}
    )


class WatchRoundSettings(TaskSettings):
    """See clients, or the server itself, through the next round. That is what a play does after an upgrade.

    Each client that is named must be connected, with the version behind its @ if one is given, and have a fresh sample.
    Then the round that runs is watched, or one is started, of each task that is served: none of them may fail in it, be silent, or have its
    update left out.

    Without a name it is the server that is watched: a fleet that committed rounds before must commit this one.

    What says nothing about a release is a note and no failure: a fleet that cannot hold a round yet, a client that has measured
    too little, or one whose sensor was broken in the rounds before.

    The exit code is 0 if all is well, with notes or without, 1 if somebody failed or the server does not answer.
    """

    clients: tuple[str, ...] = Field(
        (), description="CLIENT or CLIENT@VERSION, for instance pi-attic.", json_schema_extra={"cli": "list", "values": "clients"}
    )
    within: Seconds = Field(
        600.0, gt=0, le=1e6, description="Longest time to wait for the end of a round.", json_schema_extra={"cli": "str", "shown": "10m"}
    )
    seen_within: Seconds = Field(
        45.0, ge=0, le=1e6, description="Longest time to wait for the clients.", json_schema_extra={"cli": "str", "shown": "45s"}
    )
    as_json: bool = Field(
        False, description="Print round, notes, and for each client null or what is wrong.", json_schema_extra={"flags": "--json"}
    )


class ListRoundsSettings(TaskSettings):
    """Show the newest rounds, one in a line."""

    limit: int = Field(20, ge=1, le=1000, description="How many.")


class EvaluateSettings(TaskSettings):
    """Have clients try models without training. They do on readings that these were not trained on; each one's error is shown, and all's.

    Several models are tried on the same readings, so that they can be compared. Clients that train are not disturbed: they come to it
    afterwards. After Ctrl-C it goes on at the server.
    """

    models: tuple[int, ...] = Field(
        (),
        description="Rounds whose models are tried, 0 for the initial one; the newest without any.",
        json_schema_extra={"cli": "list", "values": "models"},
    )
    listed: bool = Field(False, description="Start nothing, and list the evaluations that were.", json_schema_extra={"flags": "--list"})
    matrix: bool = Field(
        False,
        description="Start nothing, and show of each client what it last found of each model.",
        json_schema_extra={"flags": "--matrix"},
    )
    csv: Path | None = Field(None, description="Write the table into this file, too, as CSV.")
    within: Seconds = Field(
        3600.0, gt=0, le=1e6, description="Longest time to wait for the end.", json_schema_extra={"cli": "str", "shown": "1h"}
    )


class ShowRoundSettings(OperatorSettings):
    """Show one round. It says what it went by, what came of it, and each client's part in it."""

    number: int = Field(ge=1, description="The round; bramble round list shows the newest.", json_schema_extra={"values": "rounds"})


class ListTasksSettings(OperatorSettings):
    """List the tasks that are installed here, or that a server learns.

    The first are those that a server can be given by name, the others those of the one that --server names.
    Each has the package that brings it; one that cannot be used says why.
    """

    server: Annotated[str, AfterValidator(server_address)] | None = Field(  # type: ignore[assignment]
        None, description="Address of a server, whose tasks are listed; without it those that are installed here."
    )


class ShowTaskSettings(OperatorSettings):
    """Show one task. It says what it takes, what it forecasts, and how it is learnt, as it is installed here or at the server's.

    It is the server's that is shown where --server names one.
    """

    name: str = Field(description="The task; bramble task list shows them.", json_schema_extra={"values": "shown tasks"})
    server: Annotated[str, AfterValidator(server_address)] | None = Field(  # type: ignore[assignment]
        None, description="Address of a server, whose task is shown; without it that which is installed here."
    )


class DeployTaskSettings(OperatorSettings):
    """Have a running server learn another task from here on. Its clients fetch and learn it as they are.

    Nobody is restarted, and the server finds it again when it is. With tokens on this takes the scope admin.
    """

    file: str = Field(
        description="The task's graph (.tflite), whose signatures (.sig) go with it; or the .py or .toml file that declares it, which is "
        "exported first."
    )
    key: Path | None = Field(None, description="Sign it on the way with this private key, as bramble task key made it.")
    set: Annotated[tuple[str, ...], NoDecode, BeforeValidator(names)] = Field(
        (),
        description="What is set on the server for this task alone, such as every=10m; may be given more than once.",
        json_schema_extra={"cli": "repeat", "shown": "", "metavar": "SETTING=VALUE"},
    )


class RetireTaskSettings(OperatorSettings):
    """Have a server learn a deployed task no longer.

    Its rounds and models stay in the database, and go on if the task is deployed again. With tokens on this takes the scope admin.
    """

    name: str = Field(
        description="The task's name; bramble task list --server shows those that are learnt.", json_schema_extra={"values": "tasks"}
    )
