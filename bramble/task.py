"""``bramble task``: list tasks, export a task's graph, and sign graphs for the clients that ask for a signature."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bramble import terminal
from bramble.settings import ListTasksSettings, ShowTaskSettings
from bramble_protocol import BrambleError, plugins, released, signatures
from bramble_protocol.amounts import seconds
from bramble_protocol.graph import GraphFile
from bramble_protocol.nearest import nearest
from bramble_protocol.printable import printable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from bramble_server.tasks import Terms

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")]

app = typer.Typer(help="The tasks that a fleet can learn, and their graphs.", no_args_is_help=True)


def listed(settings: ListTasksSettings) -> int:
    """Print the tasks that are installed here, or those that a server learns; return 0."""
    if settings.server is not None:
        from bramble import deploying  # a Pi has no HTTP library

        return deploying.listed(settings)
    from bramble_server import tasks

    taken = [{"name": name, "error": sentence} for name, sentence in plugins.taken(tasks.GROUP, tasks.TASKS, "task")]
    tell([*map(_listed, tasks.names()), *taken], _lines, settings.as_json)
    return 0


def shown(settings: ShowTaskSettings) -> int:
    """Print one task, as it is installed here or as a server learns it; return 0.

    Raises
    ------
    BrambleError
        If there is none of this name.
    """
    if settings.server is not None:
        from bramble import deploying

        return deploying.shown(settings)
    from bramble_server import tasks

    show({name: _listed(name) for name in tasks.names()}, settings, _lines)
    return 0


def show(found: Mapping[str, dict[str, Any]], settings: ShowTaskSettings, lines: Callable[[dict[str, Any]], list[str]]) -> None:
    """Print one of the tasks that were found by name, and what a list has no room for.

    Raises
    ------
    BrambleError
        If it is not among them; the text names what was probably meant.
    """
    item = found.get(settings.name)
    if item is None:
        near = nearest(settings.name, found)
        meant = f", did you mean {near}?" if near else f"; there are {', '.join(found)}"
        raise BrambleError(f"task show: there is no task {settings.name}{meant}")
    more = []
    if "error" not in item:
        target, metric = item["target"], item["metric"]
        more = [
            f"target {target}, {item['horizon']} bins ahead" if item["horizon"] else f"target {target}",
            f"judged by {metric['name']} in {metric['unit'] or 'no unit'}, beside {metric['baseline']}",
            f"sha256 {item.get('sha256') or item.get('graph')}",
        ]
    terminal.tell(settings.as_json, item, *lines(item), *(f"{'':16}{line}" for line in more))


def tell(found: list[dict[str, Any]], lines: Callable[[dict[str, Any]], list[str]], as_json: bool) -> None:
    """Print tasks as JSON, or so many lines each."""
    typer.echo(json.dumps(found, indent=1, ensure_ascii=False) if as_json else "\n".join(line for item in found for line in lines(item)))


def takes(item: dict[str, Any]) -> str:
    """Return in words what a task takes."""
    channels = ", ".join(f"{channel['key']} ({channel['unit']})" for channel in item["channels"])
    return f"takes {channels} in {item['window']} bins of {item['step_s']:g} s; {item['weights']} weights"


def _listed(name: str) -> dict[str, Any]:
    from bramble_server import tasks

    try:
        task = tasks.find(name)
        graph, signed = task.graph(), bool(tasks.signatures_of(name))
    except BrambleError as error:
        return {"name": name, "error": str(error)}
    told = graph.manifest.to_wire()
    return {
        "name": name,
        "package": task.owner or f"bramble-fl {version('bramble-fl')}",
        **{key: told[key] for key in ("description", "channels", "window", "step_s", "horizon", "target", "metric")},
        "weights": graph.manifest.layout.size,
        "graph": str(task.path),
        "sha256": graph.sha256,
        "signed": signed,
    }


def _lines(item: dict[str, Any]) -> list[str]:
    if "error" in item:
        return [printable(f"{item['name']:16}{item['error']}", None)]
    told = (item["description"], f"of {item['package']}{', signed' * item['signed']}: {item['graph']}", takes(item))
    return [printable(f"{'' if index else item['name']:16}{line}", None) for index, line in enumerate(told)]


@app.command("export")
def export(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="The task to export: its name, Bramble's or another package's, or the .py or .toml file that declares it; without it "
            "all of Bramble's.",
        ),
    ] = "",
    horizon: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Bins to forecast ahead, instead of the task's own number.")
    ] = None,
    step: Annotated[str | None, typer.Option(metavar="TIME", help="Length of a bin, such as 10m, instead of the task's own.")] = None,
    window: Annotated[int | None, typer.Option(min=1, metavar="N", help="Bins of a window, instead of the task's own number.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Write the graph here, for bramble server --task FILE.tflite; without it beside the task's own file."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Export a task's Keras model as the graph that clients train. Needs TensorFlow, the extra 'authoring'."""
    from bramble_server import tasks

    try:
        terms = tasks.Terms(horizon, None if step is None else seconds(step), window)
    except ValueError as error:
        raise BrambleError(f"task export: --step {step}: {error}") from None
    if is_own(name):
        path = out or Path(name).with_suffix(".tflite")
        told = [_write(own_graph(name, terms), path, as_json)]
        terminal.tell(as_json, told)
        return
    if not name and (terms.given or out is not None):
        raise BrambleError("task export: --horizon, --step, --window and --out go with a task's name")
    if name and terms.given and out is None:
        raise BrambleError("task export: beside the task's own file lies its own graph; say with --out where another is to go")
    try:
        from bramble_server.authoring.export import export as exported
    except ModuleNotFoundError as error:
        raise BrambleError(f"{error.name} is not installed; get it with: pip install 'bramble-fl[authoring]'") from error
    told = []
    for chosen in map(tasks.find, [name] if name else sorted(tasks.TASKS)):
        graph = exported(chosen.make(terms))
        told.append(_write(graph, out or chosen.path, as_json))
        if out is None and not chosen.owner and released.add(graph.fingerprint, chosen.name):
            typer.echo(f"{released.FILE}: it is among the released ones now", err=as_json)
    terminal.tell(as_json, told)


def _write(graph: GraphFile, path: Path, as_json: bool) -> dict[str, Any]:
    """Write a graph, and say so unless it is told at the end."""
    try:
        path.write_bytes(graph.data)
        path.with_suffix(".json").write_text(json.dumps(graph.manifest.to_wire(), indent=1, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise BrambleError(f"task export: {error.filename} cannot be written ({error.strerror}); say where with --out") from None
    if not as_json:
        typer.echo(f"{path}: {len(graph.data)} bytes, sha256 {graph.sha256}")
    return {"file": str(path), "bytes": len(graph.data), "sha256": graph.sha256}


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the task is called; the file is called like it.")],
    saved: Annotated[bool, typer.Option("--saved", help="A TOML file for a saved Keras model (.keras), instead of Python.")] = False,
) -> None:
    """Write a commented file to begin a task of one's own with. It can be checked and deployed as it is."""
    from bramble import starting

    starting.new(name, saved)


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The .py or .toml file that declares the task.")],
    as_json: AsJson = False,
) -> None:
    """Build, export and run a task's model, step by step beside Keras.

    That is done on every TensorFlow Lite runtime that is installed here. Needs TensorFlow, the extra 'authoring'.
    """
    from bramble import checking

    checking.check(file, as_json)


def is_own(name: str) -> bool:
    """Whether this is the path of a file that declares a task, and no task's name."""
    return name.endswith((".py", ".toml"))


def own_graph(name: str, terms: Terms | None = None) -> GraphFile:
    """Export the task that a file declares."""
    from bramble import checking

    task = checking.declared(Path(name), terms)
    from bramble_server.authoring.export import export as exported

    return exported(task)


@app.command("key")
def key(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where the private key goes; the public one goes beside it, with .pub behind its name.")
    ],
    as_json: AsJson = False,
) -> None:
    """Make a key (Ed25519) to sign graphs with. The private half stays with you, the public one goes to clients (--trust-graphs)."""
    public = make_key(file)
    terminal.tell(
        as_json,
        {"private": str(file), "public": str(public)},
        f"{file} signs: keep it, and keep it from the server and the clients",
        f"{public} is for the clients: --trust-graphs {public}",
    )


def make_key(file: Path) -> Path:
    """Make a key to sign graphs with, and its public half beside it; return where that is.

    Raises
    ------
    BrambleError
        If either is there, or cannot be written, or cryptography is not installed.
    """
    needs_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = Ed25519PrivateKey.generate()
    public = file.with_name(file.name + ".pub")
    try:
        for path, mode, content in (
            (file, 0o600, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
            (public, 0o644, f"{_public(private)}\n".encode()),
        ):
            # never over one that is there: what it signed could not be signed again
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
                opened.write(content)
    except OSError as error:
        raise BrambleError(f"task key: {error.filename} cannot be made ({error.strerror})") from None
    return public


@app.command("sign")
def sign(
    graph: Annotated[Path, typer.Argument(metavar="FILE", help="The graph, a .tflite that bramble task export wrote.")],
    key: Annotated[
        Path,
        typer.Option(
            metavar="PATH", help="Your private key, as bramble task key made it; /dev/stdin for one that is decrypted on the way."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Sign a graph: clients that trust the key run it. The signature goes beside it (FILE.sig), where the server finds it."""
    needs_cryptography()
    read, private = read_graph(graph), private_key(key)
    line = signature(read, private)
    path = graph.with_name(graph.name + ".sig")
    try:
        before = path.read_text("ascii") if path.exists() else ""
        if line not in before.splitlines():
            path.write_text(before + line + "\n", "ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise BrambleError(f"task sign: {path} cannot be written ({getattr(error, 'strerror', None) or 'it is no text'})") from None
    manifest = read.manifest
    terminal.tell(
        as_json,
        {"file": str(path), "task": manifest.task, "sha256": read.sha256, "key": _public(private)},
        f"{path}: task {manifest.task}, {', '.join(channel.key for channel in manifest.channels)} to {manifest.target} "
        f"{manifest.horizon} bins ahead, sha256 {read.sha256}, signed by {_public(private)}",
    )


def signature(graph: GraphFile, private: Ed25519PrivateKey) -> str:
    """Return a graph's signature, as it stands in a file of them."""
    return base64.b64encode(private.sign(signatures.message(graph.sha256))).decode()


def needs_cryptography() -> None:
    """Raise a ``BrambleError`` with the remedy if the library that signs is not installed."""
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise BrambleError(f"{error.name} is not installed; get it with: pip install 'bramble-fl[signing]'") from None


def read_graph(path: Path) -> GraphFile:
    """Read a graph's file."""
    try:
        return GraphFile.read(path.read_bytes())
    except OSError as error:
        raise BrambleError(f"task: cannot read {path} ({error.strerror})") from None


def private_key(path: Path) -> Ed25519PrivateKey:
    """Read a key that signs, and ask for its passphrase if it has one."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        text = path.read_bytes()
    except OSError as error:
        raise BrambleError(f"task sign: cannot read the key {path} ({error.strerror})") from None
    try:
        try:
            private = load_pem_private_key(text, None)
        except TypeError:  # it is under a passphrase
            private = load_pem_private_key(text, typer.prompt(f"Passphrase of {path}", hide_input=True, err=True).encode())
    except ValueError:
        raise BrambleError(f"task sign: {path} holds no private key in PEM form, or the passphrase is not its own") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise BrambleError(f"task sign: {path} is no Ed25519 key; bramble task key makes one")
    return private


def _public(private: Ed25519PrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return signatures.key_text(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
