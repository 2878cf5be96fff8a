"""How updates travel back: where it is set, for one task too, by its former name, and what is refused before a server starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bramble import flags, settings_check
from bramble_protocol.codecs import topk
from bramble_protocol.errors import BrambleError
from bramble_server import foundation
from bramble_server.learning import codec, strategies
from bramble_server.settings import ServerSettings

TABLE = '[server.codec]\nname = "topk"\nshare = 0.02\n'


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CODEC", "CODEC_OPTION", "REPLY_ENCODING"):
        monkeypatch.delenv(f"BRAMBLE_SERVER_{name}", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bramble.toml"
    path.write_text(TABLE)
    return path


def chosen(given: dict[str, Any] | None = None, file: Path | None = None) -> str:
    [track] = foundation.read(flags.load(ServerSettings, "server", given or {}, file))
    return codec.named(track.settings.codec, track.settings.codec_option).encoding


def test_without_a_word_it_is_float32() -> None:
    assert chosen() == "float32"


@pytest.mark.parametrize("name", ["float32", "float16", "delta-float16", "int8", "delta-int8"])
def test_one_without_parameters_is_called_as_in_messages(name: str) -> None:
    assert chosen({"codec": name}) == name


def test_a_share_is_part_of_what_messages_call_it(file: Path) -> None:
    assert chosen({"codec": "topk"}) == "topk-0.01"
    assert chosen({"codec": "topk", "codec_option": ["share=1e-6"]}) == "topk-0.000001"
    assert chosen(file=file) == "topk-0.02"
    assert chosen({"codec_option": ["share=0.5"]}, file) == "topk-0.5"
    assert chosen({"codec": "delta-int8"}, file) == "delta-int8"


@pytest.mark.parametrize("share", ["0.01", "0.000001", "0.123456789", "0.5", "0.1234567891234", "0.3333333333333333"])
def test_whatever_share_is_set_is_one_that_messages_can_name(share: str) -> None:
    encoding = codec.named("topk", {"share": share}).encoding
    found = topk.find(encoding)
    assert found
    assert found.share == pytest.approx(float(share), abs=1e-9)


def test_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAMBLE_SERVER_CODEC", "topk")
    monkeypatch.setenv("BRAMBLE_SERVER_CODEC_OPTION", "share=0.1")
    assert chosen() == "topk-0.1"


def test_for_one_task_in_a_table_or_by_flags(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "tracks.toml"
    path.write_text(f'{TABLE}[server.track.climate.codec]\nname = "delta-int8"\n')
    assert chosen(file=path) == "delta-int8"
    assert chosen({"track": ["climate.codec=topk", "climate.codec_option=share=0.25"]}) == "topk-0.25"
    assert chosen({"track": ["climate.codec=topk"]}, file) == "topk-0.01", "the share was another codec's"


def test_its_former_name_is_taken_and_not_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "former.toml"
    path.write_text('[server]\nreply_encoding = "delta-float16"\n')
    assert chosen(file=path) == chosen({"reply_encoding": "delta-float16"}) == "delta-float16"
    assert chosen({"reply_encoding": "float16", "track": ["climate.codec=topk"]}) == "topk-0.01"
    with pytest.raises(BrambleError, match="--reply-encoding is the former name of --codec: give --codec alone"):
        chosen({"codec": "int8"}, path)
    monkeypatch.setenv("BRAMBLE_SERVER_REPLY_ENCODING", "float16")
    assert chosen() == "float16"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"codec": "delta-int"}, "^codec: 'delta-int' is not one of float32, .*topk, did you mean 'delta-int8'"),
        ({"codec": "topk-0.01"}, "^codec: 'topk-0.01' is not one of .*did you mean 'topk'"),
        ({"codec": "topk", "codec_option": ["share=0"]}, "^codec_option: share of topk is a number, 1e-06 to 0.5, got '0'"),
        ({"codec": "topk", "codec_option": ["share=0.51"]}, "1e-06 to 0.5, got '0.51'"),
        ({"codec": "topk", "codec_option": ["share=nan"]}, "1e-06 to 0.5, got 'nan'"),
        ({"codec": "topk", "codec_option": ["shar=0.1"]}, "^codec_option: topk has no parameter 'shar', did you mean 'share'"),
        ({"codec": "int8", "codec_option": ["share=0.1"]}, "^codec_option: int8 has no parameter 'share', for it has none"),
        ({"codec_option": ["share"]}, "a parameter is written key=value"),
        ({"track": ["climate.codec=int4"]}, "^track: climate.codec: 'int4' is not one of"),
        ({"codec": "topk", "mode": "private"}, "^codec: fedavg would make numbers of the model of what one client"),
        ({"codec": "topk", "strategy": "median"}, "^codec: median goes by what most clients say .* go by delta-int8"),
        ({"codec": "topk", "strategy": "normbound+trimmedmean"}, "^codec: normbound\\+trimmedmean goes by"),
        ({"track": ["climate.codec=topk"], "strategy": "multikrum", "min_clients": 5}, "^track: climate.codec: multikrum goes by"),
    ],
)
def test_what_there_is_not_or_does_not_combine_ends_a_server_before_it_starts(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BrambleError, match=sentence):
        chosen(given)


def test_settings_check_names_the_setting(tmp_path: Path) -> None:
    for text, key in (('codec = "int4"', "codec"), ('codec = "topk"\ncodec_option = ["share=2"]', "codec_option"), ("codec = 3", "codec")):
        path = tmp_path / "server.toml"
        path.write_text(f"[server]\n{text}\n")
        assert [problem.key for problem in settings_check.check(path)] == [key]


def test_all_that_combines_is_refused_nowhere_and_nothing_else_is() -> None:
    for name in strategies.STRATEGIES:
        choice = strategies.named(name, {})
        for each, combines in strategies.combining.combinations(choice.make())["codec"].items():
            given = {"strategy": name, "codec": each, "min_clients": 10, **({"epsilon": 8.0} if name == "dp" else {})}
            if combines:
                chosen(given)
            else:
                with pytest.raises(BrambleError, match=f"^codec: {name} .*{each}"):
                    chosen(given)
