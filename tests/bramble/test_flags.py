from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import typer
from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from typer.testing import CliRunner

from bramble import cli, flags
from bramble.flags import SettingError, load


class Settings(BaseSettings):
    """Serve tea."""

    model_config = SettingsConfigDict(env_prefix="BRAMBLE_SERVER_", extra="ignore")

    port: int = Field(5000, ge=0, le=65535, description="Port to listen on.")
    mode: Literal["evaluation", "private"] = Field("evaluation", description="What may leave.")
    data_dir: Path | None = Field(None, description="Where data goes.")
    simulated: bool | None = Field(None, description="Sim.", json_schema_extra={"flags": "--allow-simulated/--refuse-simulated"})
    token_file: str | None = Field(None, description="A secret's place.")

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        if self.mode == "private" and self.simulated:
            raise ValueError("--mode private takes no simulated data; leave out --allow-simulated")
        return self


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "bramble.toml"
    path.write_text('[server]\nport = 7000\nmode = "private"\ndata-dir = "/from/toml"\n[client]\nid = "pi"\n', "utf-8")
    return path


def test_flags_win_over_environment_over_toml_over_defaults(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAMBLE_SERVER_PORT", "6000")
    monkeypatch.setenv("BRAMBLE_SERVER_MODE", "evaluation")
    settings = load(Settings, "server", {"port": 5555, "mode": None}, toml)
    assert (settings.port, settings.mode, settings.data_dir, settings.simulated) == (5555, "evaluation", Path("/from/toml"), None)


def test_nothing_at_all_gives_the_defaults() -> None:
    assert load(Settings, "server", {}, None).model_dump() == Settings().model_dump()


@pytest.mark.parametrize(
    ("flags_given", "sentence"),
    [
        ({"port": "many"}, "--port: .*'many'"),
        ({"port": 70000}, "--port: .*65535"),
        ({"mode": "public"}, "--mode: .*'evaluation' or 'private'"),
        ({"mode": "private", "simulated": True}, "leave out --allow-simulated"),
    ],
)
def test_a_bad_flag_is_named(flags_given: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        load(Settings, "server", flags_given, None)


def test_a_bad_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAMBLE_SERVER_PORT", "-1")
    with pytest.raises(SettingError, match="BRAMBLE_SERVER_PORT: "):
        load(Settings, "server", {}, None)


def test_what_every_command_means_alike_is_one_variable_and_the_rest_is_each_commands_own(monkeypatch: pytest.MonkeyPatch) -> None:
    class Addressed(Settings):
        server: str = "http://127.0.0.1:5000"

    monkeypatch.setenv("BRAMBLE_SERVER", "http://hub:5000")
    monkeypatch.setenv("BRAMBLE_INSPECTOR_PORT", "1")
    assert load(Addressed, "server", {}, None).server == "http://hub:5000"
    assert load(Addressed, "server", {"server": "http://other"}, None).server == "http://other"
    assert load(Addressed, "server", {}, None).port == 5000


def test_a_variable_that_several_commands_took_for_theirs_is_refused_with_its_new_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAMBLE_PORT", "6000")
    with pytest.raises(SettingError, match="BRAMBLE_PORT: several commands would take it for theirs; write BRAMBLE_SERVER_PORT"):
        load(Settings, "server", {}, None)
    monkeypatch.setenv("BRAMBLE_SERVER_PORT", "6001")
    assert load(Settings, "server", {}, None).port == 6001


def test_a_bad_value_in_the_file_is_named(toml: Path) -> None:
    toml.write_text("[server]\nport = 99999\n", "utf-8")
    with pytest.raises(SettingError, match="'port' in the TOML file"):
        load(Settings, "server", {}, toml)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[server]\nprot = 1\n", "no setting 'prot', did you mean 'port'\\?; it knows .*port"),
        ("[sevrer]\nport = 1\n", r"no command reads the table \[sevrer\], did you mean 'server'\?; it knows .*\[server\]"),
        ("[server]\nport = 1\n[cleint]\nid = 'pi'\n", r"table \[cleint\], did you mean 'client'\?"),
        ("port = 1\n", "no command reads the setting 'port' outside of a table"),
        ("[server\n", "line 1"),
        ("server = 3\n", r"written \[server\]"),
    ],
)
def test_a_malformed_file_is_explained(toml: Path, text: str, sentence: str) -> None:
    toml.write_text(text, "utf-8")
    with pytest.raises(SettingError, match=sentence):
        load(Settings, "server", {}, toml)


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"cannot read .*nowhere"):
        load(Settings, "server", {}, tmp_path / "nowhere.toml")


def test_a_secret_is_never_repeated_in_an_error() -> None:
    with pytest.raises(SettingError) as caught:
        load(Settings, "server", {"token_file": 12345}, None)
    assert "12345" not in str(caught.value)


@pytest.fixture
def ran() -> list[Settings]:
    return []


@pytest.fixture
def app(ran: list[Settings]) -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None)
    app.command("serve")(flags.command(Settings, "server", lambda settings: ran.append(settings) or 3))
    return app


def test_the_command_takes_every_field_as_a_flag(app: typer.Typer, ran: list[Settings]) -> None:
    result = CliRunner().invoke(app, ["--port", "1", "--mode", "private", "--refuse-simulated", "--data-dir", "/d"])
    assert result.exit_code == 3
    expected = {"port": 1, "mode": "private", "simulated": False, "data_dir": Path("/d"), "token_file": None}
    assert [settings.model_dump() for settings in ran] == [expected]


def test_a_default_that_only_the_machine_knows_is_shown_in_words() -> None:
    text = " ".join(CliRunner().invoke(cli.app, ["client", "--help"]).output.split())
    assert "data/ID for mock sensors" in text
    assert "default: ," not in text


def test_help_shows_defaults_choices_and_variables(app: typer.Typer) -> None:
    text = CliRunner().invoke(app, ["--help"]).output
    for piece in (
        "Serve tea.",
        "--port",
        "5000",
        "evaluation|private",
        "--allow-simulated",
        "BRAMBLE_SERVER_DATA_DIR",
        "--config",
        "[server]",
    ):
        assert piece in text
