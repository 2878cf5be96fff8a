"""Settings of the commands about models."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from bramble.settings import TaskSettings


class ListModelsSettings(TaskSettings):
    """Show the global models that the server keeps, one in a line.

    Each has its error over readings that nobody had trained on, beside the baseline's, once a later round has tested it. The best is the
    champion, and is kept for as long as it is that. Any of them can be brought back.
    """


class ShowModelSettings(TaskSettings):
    """Show one global model. It says what its round went by, its error beside the baseline's, and its tensors."""

    number: int = Field(
        ge=1, description="Round whose model it is; bramble model list shows those that are kept.", json_schema_extra={"values": "models"}
    )


class GetModelSettings(TaskSettings):
    """Write a global model into a file. It is the task's graph with the model's weights inside, for bramble predict."""

    number: int | None = Field(
        None,
        ge=1,
        description="Round whose model it is, of those that are kept; the newest without it.",
        json_schema_extra={"values": "models"},
    )
    output: Path = Field(Path("model.tflite"), description="The file.")


class PredictSettings(BaseSettings):
    """Let a model forecast from a recording. It writes a line for each window, and asks neither server nor client.

    Of a task that forecasts, each line has what came, where the recording has that, and the baseline beside it.
    """

    model_config = SettingsConfigDict(env_prefix="BRAMBLE_PREDICT_", extra="ignore")

    model: Path = Field(Path("model.tflite"), description="Graph file with the weights inside, as bramble model get writes it.")
    csv: Path | None = Field(None, description="The recording: a column time, and one a channel. It has to be given.")
    task: str | None = Field(
        None, description="The task that the model must be of; any without it.", json_schema_extra={"values": "installed tasks"}
    )
    output: Path | None = Field(None, description="File for the lines; without it they go to stdout.")
    as_json: bool = Field(False, description="Write a JSON object a line instead of CSV.", json_schema_extra={"flags": "--json"})


class RollbackSettings(TaskSettings):
    """Make the model of an older round the global one again.

    It is committed under a new number, and nothing is deleted: whoever looks at the history sees what was, and what was undone. A round
    that is open ends unused, for its clients train from the model that goes.
    With tokens on the server this takes the scope admin.
    """

    number: int = Field(
        ge=1,
        description="Round whose model comes back; bramble model list shows those that are kept.",
        json_schema_extra={"values": "models"},
    )


class PinSettings(TaskSettings):
    """Have clients use the model of a round, whatever comes.

    It is the champion then, and is kept; rounds go on, and what they learn is compared with it. With tokens on
    the server this takes the scope admin.
    """

    number: int = Field(
        ge=1,
        description="Round whose model is pinned; bramble model list shows those that are kept.",
        json_schema_extra={"values": "models"},
    )


class UnpinSettings(TaskSettings):
    """Let the best model be the champion again. With tokens on the server this takes the scope admin."""


class ExportModelSettings(TaskSettings):
    """Write a trained model to a file, for other programs.

    npz: the weights alone, by the names of their tensors. keras, tflite, tflite-int8 and onnx: window in, forecast out, in the channels'
    units. They are made by the task's Keras model and need the extra authoring; onnx needs the extra onnx, too.
    """

    number: int = Field(
        ge=1,
        description="Round whose model is wanted; bramble model list shows those that are kept.",
        json_schema_extra={"values": "models"},
    )
    format: Literal["npz", "keras", "tflite", "tflite-int8", "onnx"] = Field("npz", description="npz, keras, tflite, tflite-int8 or onnx.")
    output: Path | None = Field(None, description="File to write.", json_schema_extra={"shown": "TASK-ROUND and the format's ending"})
    csv: Path | None = Field(
        None, description="Recording by which tflite-int8 is calibrated, and compared with float; without it its weights alone are int8."
    )
