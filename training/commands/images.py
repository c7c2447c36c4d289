"""``convert``, ``patches``: images as pictures, and pieces of them to pretrain on."""

from pathlib import Path
from typing import Annotated

import typer

from training.commands.options import ExitCode
from training.convert import convert as convert_files
from training.datasets import Label
from training.datasets.registry import read_data_set
from training.roi import PatchRule, cut_patches

_RULE = PatchRule()


def convert(
    sources: Annotated[
        list[Path], typer.Argument(metavar="DIR_OR_FILES", help="Folders of any depth, or files.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the PNG files.")],
    bits: Annotated[int, typer.Option("--bits", metavar="8|16", help="Of a grey value.")] = 16,
) -> None:
    """Write DICOM images as grey PNG: VOI LUT applied, air black.

    What is not an image is left out, with the reason. Ends with 1 if nothing could be written.
    """
    if bits not in (8, 16):
        raise typer.BadParameter(f"expected 8 or 16; found {bits}", param_hint="--bits")
    written = 0
    for conversion in convert_files(sources, out, bits=8 if bits == 8 else 16):
        if conversion.target is None:
            typer.echo(f"left out  {conversion.source}: {conversion.reason}", err=True)
        else:
            written += 1
            typer.echo(f"{conversion.source} -> {conversion.target}")
    typer.echo(f"{written} written to {out}")
    if not written:
        raise typer.Exit(ExitCode.FAILURE)


def patches(
    data_set: Annotated[str, typer.Argument(metavar="DATASET", help="A name below.")],
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR", help="Its folder; without it, the default.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for the patches.")
    ] = Path("data/patches"),
    size_px: Annotated[
        int, typer.Option("--size", metavar="PX", min=32, help="Height and width of a patch.")
    ] = _RULE.size_px,
    context: Annotated[
        float,
        typer.Option(
            "--context", metavar="FACTOR", min=1.0, help="Side of a patch over that of its lesion."
        ),
    ] = _RULE.context,
    backgrounds: Annotated[
        int,
        typer.Option(
            "--backgrounds", metavar="N", min=0, help="Patches without a lesion for each with one."
        ),
    ] = _RULE.backgrounds,
) -> None:
    """Cut patches around lesions, and of the same breast without one, to pretrain on.

    They are a data set of their own, `patches`; patients keep their split.
    """
    rule = PatchRule(size_px=size_px, context=context, backgrounds=backgrounds)
    cut = cut_patches(read_data_set(data_set, folder), out, rule)
    counts = (
        f"{sum(image.label is label for image in cut.images):,} {label.value}" for label in Label
    )
    typer.echo(f"{len(cut.images):,} patches in {out}: {', '.join(counts)}")
    if not cut.images:
        raise typer.Exit(ExitCode.FAILURE)
