"""``bramble sensors``: find, read, watch and check the sensors of this machine. Prints; decides nothing."""

from __future__ import annotations

import itertools
import json
import math
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from bramble_client.hal import Board, Reading, commands, detect, open_board
from bramble_client.hal.drivers import kernel
from bramble_client.hal.errors import ConfigError, SensorError
from bramble_client.hal.selftest import selftest as run_selftest

app = typer.Typer(
    help="Find, read, watch and check this machine's sensors.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)

Kind = Annotated[
    Literal["mock", "linux"],
    typer.Option(
        "--sensors", envvar="BRAMBLE_CLIENT_SENSORS", help="linux reads the I2C bus, mock a simulated one; the drivers are the same."
    ),
]
Bus = Annotated[int, typer.Option("--bus", envvar="BRAMBLE_CLIENT_BUS", help="Number of the I2C bus.")]
Config = Annotated[
    Path | None, typer.Option("--sensors-file", envvar="BRAMBLE_CLIENT_SENSORS_FILE", help="File (TOML) that lists the sensors.")
]
Replay = Annotated[Path | None, typer.Option("--replay", envvar="BRAMBLE_CLIENT_REPLAY", help="Recording (CSV) that mock sensors replay.")]
Faults = Annotated[Path | None, typer.Option("--faults", envvar="BRAMBLE_CLIENT_FAULTS", help="Script (TOML) of faults for mock sensors.")]
Seed = Annotated[str, typer.Option("--id", envvar="BRAMBLE_CLIENT_ID", help="Client id, which makes mock sensors distinct.")]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def _tell(found: Any, indent: int | None = 2) -> None:
    typer.echo(json.dumps(found, indent=indent, ensure_ascii=False))


def _told(reading: Reading) -> dict[str, Any]:
    """Return a reading for programs: ``value`` is None where there is none."""
    value = None if reading.value is None or not math.isfinite(reading.value) else reading.value
    return {
        "sensor": reading.sensor, "channel": reading.channel, "value": value, "unit": reading.unit, "quality": reading.quality.value,
        "t": reading.utc,
    }  # fmt: skip


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print(table: Table) -> None:
    # A pipe has no edge: what is cut there cannot be searched for
    Console(soft_wrap=True, width=None if sys.stdout.isatty() else 10_000).print(table)


def _value(reading: Reading) -> str:
    return "-" if reading.value is None else f"{reading.value:.3f}"


def _doubt(reading: Reading) -> str:
    return "" if reading.good else f" ({reading.quality.value})"


def _addresses(addresses: tuple[int, ...]) -> str:
    if len(addresses) > 4 and addresses == tuple(range(addresses[0], addresses[-1] + 1)):
        return f"{addresses[0]:#04x} to {addresses[-1]:#04x}"
    return ", ".join(f"{address:#04x}" for address in addresses)


@app.command("list")
def list_(
    options: Annotated[bool, typer.Option("--options", help="List what each driver takes in [[sensor]] beside the usual keys.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the drivers that there are."""
    if as_json:
        _tell([_described(row, options) for row in commands.known()])
        return
    if options:
        table = _table("name", "option", "default", "values", "meaning")
        for row in commands.known():
            for option in row.driver.options if row.driver is not None else ():
                table.add_row(row.name, option.name, option.usual, option.values, option.about)
        _print(table)
        return
    table = _table("name", "chip", "addresses", "channels")
    for row in commands.known():
        if row.driver is None:
            table.add_row(row.name, "-", "-", row.problem)
        else:
            table.add_row(row.name, row.driver.chip, _addresses(row.driver.addresses) or "-", ", ".join(row.driver.channels) or "-")
    _print(table)


def _described(row: commands.Known, options: bool) -> dict[str, Any]:
    """Return a driver for programs, or why it cannot be used."""
    if row.driver is None:
        return {"name": row.name, "problem": row.problem}
    found = {
        "name": row.name, "chip": row.driver.chip, "addresses": list(row.driver.addresses), "channels": list(row.driver.channels),
    }  # fmt: skip
    taken = [{"name": item.name, "default": item.usual, "values": item.values, "meaning": item.about} for item in row.driver.options]
    return {**found, "options": taken} if options else found


@app.command()
def scan(
    sensors: Kind = "linux",
    bus: Bus = 1,
    seed: Seed = "client",
    config: Config = None,
    write: Annotated[Path | None, typer.Option(help="Write a configuration for what is found to this file.")] = None,
    sysfs: Annotated[str, typer.Option(help="Where the kernel's tree is.")] = kernel.SYSFS,
    as_json: AsJson = False,
) -> None:
    """Find the chips on the bus, and what the kernel reads. A chip is known by what it says of itself, never by its address alone."""
    if write is not None and write.exists():
        raise ConfigError(f"{write} exists; name another file, or move it away first")
    devices = commands.kernel_devices(sysfs) if sensors == "linux" else []
    found: list[detect.Found] = []
    try:
        with commands.opened(sensors, bus, seed, config) as opened:
            found = detect.scan(opened)
        if not found and not as_json:
            typer.echo(f"nothing answers on {opened.name}; check the wiring and the power")
    except SensorError as error:
        if not devices:
            raise
        typer.echo(f"{error}", err=True)
    if as_json:
        chips = [{"address": item.address, "drivers": [driver.name for driver in item.drivers], "chip": item.note} for item in found]
        kernels = [
            {"device": device.place, "driver": kind.name, "channels": dict(device.inputs), "further": list(device.further)}
            for kind, device in devices
        ]
        _tell({"bus": chips, "kernel": kernels})
    if found and not as_json:
        table = _table("address", "driver", "chip")
        for item in found:
            table.add_row(f"{item.address:#04x}", " or ".join(driver.name for driver in item.drivers) or "-", item.note)
        _print(table)
    if devices and not as_json:
        table = _table("device", "driver", "channels", "what the kernel reads, unchecked")
        for kind, device in devices:
            inputs = ", ".join(f"{channel} ({stem})" for channel, stem in device.inputs.items())
            more = f"; also {', '.join(device.further)}" if device.further else ""
            table.add_row(device.place, kind.name, inputs, f"{device.kernel}{more}")
        _print(table)
    if write is not None:
        write.write_text(commands.found_config(found, bus, devices, sysfs), encoding="utf-8")
        typer.echo(f"wrote {write}", err=as_json)


@app.command()
def read(
    sensors: Kind = "linux",
    bus: Bus = 1,
    seed: Seed = "client",
    config: Config = None,
    replay: Replay = None,
    faults: Faults = None,
    as_json: AsJson = False,
) -> None:
    """Read every sensor once. Ends with code 1 if a reading is missing or doubtful."""
    board = open_board(sensors, replay=replay, seed=seed, bus=bus, configuration=config, faults=faults)
    try:
        readings = board.read()
    finally:
        board.close()
    if as_json:
        _tell([_told(reading) for reading in readings])
    else:
        table = _table("sensor", "channel", "value", "unit", "quality")
        for reading in readings:
            table.add_row(reading.sensor, reading.channel, _value(reading), reading.unit, reading.quality.value)
        _print(table)
    if board.problems or not all(reading.good for reading in readings):
        raise typer.Exit(1)


@app.command()
def watch(
    sensors: Kind = "linux",
    bus: Bus = 1,
    seed: Seed = "client",
    config: Config = None,
    replay: Replay = None,
    faults: Faults = None,
    every: Annotated[float, typer.Option(min=0, help="Seconds between two lines of one sensor, however fast it is; 0 shows all.")] = 1.0,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many lines.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the newest readings of each sensor until Ctrl-C. That is once a second at most, with the deadlines that were missed."""
    board = open_board(sensors, replay=replay, seed=seed, bus=bus, configuration=config, faults=faults, live=True)
    try:
        for line in itertools.islice(commands.thinned(commands.watch(board), every), count):
            if as_json:  # a line each, for what reads while it goes on
                counts = {"read": line.readings, "doubtful": line.doubtful, "taken": line.stats.taken, "missed": line.stats.missed}
                _tell({"latest": [_told(item) for item in line.latest], **counts}, indent=None)
                continue
            values = "  ".join(f"{board.key(item)} {_value(item)} {item.unit}{_doubt(item)}" for item in line.latest)
            doubts = f", {line.doubtful} doubtful" if line.doubtful else ""
            more = f"{line.readings} read since{doubts}; " if line.readings > 1 else ""
            typer.echo(f"{line.latest[0].sensor}: {values}  [{more}{line.stats.taken} taken, {line.stats.missed} missed]")
    except KeyboardInterrupt:
        pass
    finally:
        board.close()


@app.command()
def selftest(
    sensors: Kind = "linux", bus: Bus = 1, seed: Seed = "client", config: Config = None, faults: Faults = None, as_json: AsJson = False
) -> None:
    """Check every sensor's identity, bytes, plausibility and rate. Prints what to do, and ends with code 1 if a check fails."""
    board: Board = open_board(sensors, seed=seed, bus=bus, configuration=config, faults=faults)
    checks = []
    try:
        for check in run_selftest(board):
            checks.append(check)
            if not as_json:
                typer.echo(f"{'ok  ' if check.passed else 'FAIL'} {check.sensor}: {check.what}: {check.note}")
    finally:
        board.close()
    if as_json:
        _tell([{"sensor": check.sensor, "what": check.what, "passed": check.passed, "note": check.note} for check in checks])
    if not all(check.passed for check in checks):
        raise typer.Exit(1)
