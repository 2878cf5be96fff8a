"""``bramble task``: export a task's graph, and sign graphs for the clients that ask for a signature."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bramble_protocol import BrambleError, released, signatures
from bramble_protocol.graph import GraphFile

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

app = typer.Typer(help="The tasks that a fleet can learn.", no_args_is_help=True)


@app.command("export")
def export(
    name: Annotated[str, typer.Argument(help="The task to export; without it all of them, in place.")] = "",
    horizon: Annotated[int | None, typer.Option(min=0, help="Bins to forecast ahead, instead of the task's own number.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the graph here, for bramble server --task FILE.tflite.")] = None,
) -> None:
    """Export a task's Keras model as the graph that clients train. Needs TensorFlow, the extra 'authoring'."""
    from bramble_server import tasks

    if not name and (horizon is not None or out is not None):
        raise BrambleError("task export: --horizon and --out go with a task's name")
    try:
        from bramble_server.authoring.export import export as exported
    except ModuleNotFoundError as error:
        raise BrambleError(f"{error.name} is not installed; get it with: pip install 'bramble-fl[authoring]'") from error
    for chosen in [name] if name else sorted(tasks.TASKS):
        graph = exported(tasks.create(chosen, horizon))
        path = out or tasks.FOLDER / f"{chosen}.tflite"
        path.write_bytes(graph.data)
        path.with_suffix(".json").write_text(json.dumps(graph.manifest.to_wire(), indent=1, ensure_ascii=False) + "\n", "utf-8")
        typer.echo(f"{path}: {len(graph.data)} bytes, sha256 {graph.sha256}")
        if out is None and horizon is None and released.add(graph.fingerprint, chosen):
            typer.echo(f"{released.FILE}: it is among the released ones now")


@app.command("key")
def key(
    file: Annotated[Path, typer.Argument(help="Where the private key goes; the public one goes beside it, with .pub behind its name.")],
) -> None:
    """Make a key (Ed25519) to sign graphs with: the private half stays with you, the public one goes to clients (--trust-graphs)."""
    _needs_cryptography()
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
    typer.echo(f"{file} signs: keep it, and keep it from the server and the clients\n{public} is for the clients: --trust-graphs {public}")


@app.command("sign")
def sign(
    graph: Annotated[Path, typer.Argument(help="The graph, a .tflite that bramble task export wrote.")],
    key: Annotated[
        Path, typer.Option(help="Your private key, as bramble task key made it; /dev/stdin for one that is decrypted on the way.")
    ],
) -> None:
    """Sign a graph: clients that trust the key run it. The signature goes beside it (FILE.sig), where the server finds it."""
    _needs_cryptography()
    read, private = _graph(graph), _private(key)
    line = base64.b64encode(private.sign(signatures.message(read.sha256))).decode()
    path = graph.with_name(graph.name + ".sig")
    try:
        before = path.read_text("ascii") if path.exists() else ""
        if line not in before.splitlines():
            path.write_text(before + line + "\n", "ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise BrambleError(f"task sign: {path} cannot be written ({getattr(error, 'strerror', None) or 'it is no text'})") from None
    manifest = read.manifest
    typer.echo(
        f"{path}: task {manifest.task}, {', '.join(channel.key for channel in manifest.channels)} to {manifest.target} "
        f"{manifest.horizon} bins ahead, sha256 {read.sha256}, signed by {_public(private)}"
    )


def _needs_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise BrambleError(f"{error.name} is not installed; get it with: pip install 'bramble-fl[signing]'") from None


def _graph(path: Path) -> GraphFile:
    try:
        return GraphFile.read(path.read_bytes())
    except OSError as error:
        raise BrambleError(f"task sign: cannot read {path} ({error.strerror})") from None


def _private(path: Path) -> Ed25519PrivateKey:
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
