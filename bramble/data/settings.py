"""Settings of ``bramble data``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode, SettingsConfigDict

from bramble.data.zones import zone_of
from bramble.settings import OperatorSettings, OutputSettings
from bramble_server.round_settings import Seconds
from bramble_server.settings import names


def _zone(text: str | None) -> str | None:
    if text is not None:
        zone_of(text)
    return text


class ImportSettings(OutputSettings):
    """Make a recording of somebody else's export.

    It knows exports of Home Assistant (history and statistics), Ecowitt, Davis WeatherLink, WeeWX, Netatmo, DWD and NOAA, and plain tables
    with a comma, semicolon or tab, decimal commas, units in the names and sentinels such as -9999. Units are converted, and gaps stay gaps.
    Without --output nothing is written.
    """

    model_config = SettingsConfigDict(env_prefix="BRAMBLE_DATA_", extra="ignore")

    file: str = Field(description="The export, as CSV.")
    map: Annotated[tuple[str, ...], NoDecode, BeforeValidator(names)] = Field(
        (),
        description="Which column, or which sensor of Home Assistant, is which channel: 'outTemp=temperature', or with a unit "
        "'T1=temperature (°F)'. May be given more than once, and goes before what is known.",
        json_schema_extra={"cli": "repeat", "shown": "", "metavar": "COLUMN=CHANNEL"},
    )
    zone: Annotated[str | None, AfterValidator(_zone)] = Field(
        None, description="Whose clock the times are of, such as Europe/Berlin or -05:00, where the file does not say it."
    )
    every: Seconds = Field(
        300.0, ge=1, le=86_400, description="Step of a recording that is made of Home Assistant's lines.",
        json_schema_extra={"cli": "str", "shown": "5m"},
    )  # fmt: skip
    output: Path | None = Field(None, description="File for the recording; one that is there is not replaced.")


class ExportSettings(OperatorSettings):
    """Write what a client mirrored as a recording.

    It has a column time in UTC, and one a channel in its unit; in private mode there is none.
    """

    client: str = Field(description="Whose readings, by its id.", json_schema_extra={"values": "clients"})
    output: Path = Field(Path("readings.csv"), description="The file; one that is there is not replaced.")
