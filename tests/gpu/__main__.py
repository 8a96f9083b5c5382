"""Proof on a GPU: compile for it, compare its pictures with a CPU's, and measure it beside Diffusers.

python -m aquatint.tests.gpu -o FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from aquatint.runtime.pixels import write_whole
from aquatint.tests.gpu.ledger import RESULT
from aquatint.tests.gpu.proof import Refused, prove
from aquatint.tests.gpu.settings import BASELINES, LEAST_STEPS, MODELS, SMALL, Settings, quick
from aquatint.tests.gpu.tables import as_markdown, as_text

TABLE = "table.md"


def words(text: str | None) -> tuple[str, ...]:
    """Of a list with commas; "none" and nothing are empty."""
    return tuple(word for word in (part.strip() for part in (text or "").split(",")) if word and word != "none")


def passed(result: dict[str, Any]) -> bool:
    """Whether every stage ran to its end and every picture was alike; a bar that is missed is a figure, no failure."""
    stages, pictures = result["stages"], result["pictures"]
    return all(entry["ok"] for entry in stages) and all(one["alike"] for one in pictures)


@click.command()
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("gpu-proof"), show_default=True,
    help=f"Folder for {RESULT}, {TABLE} and the pictures.",
)  # fmt: skip
@click.option(
    "--targets", help="Such as ort:cuda,tensorrt, or ort:cpu for a rehearsal.  [default: what is installed for the GPU]"
)
@click.option("--models", default="demo,sd15", show_default=True, help=f"Of {', '.join(MODELS)}.")
@click.option("--size", default=512, show_default=True, help=f"Pixels, of models other than {', '.join(SMALL)}.")
@click.option("--steps", default=20, show_default=True, type=click.IntRange(LEAST_STEPS))
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1), help="Timed pictures in a process.")
@click.option("--baselines", default="eager,compile", show_default=True, help=f"none, or of {', '.join(BASELINES)}.")
@click.option("--quick", "in_short", is_flag=True, help="Small models alone, in 6 steps and 2 timed pictures at most.")
@click.option(
    "--work", type=click.Path(path_type=Path),
    help="Folder for checkpoints, bundles and finished pieces, which another proof may use.  [default: OUTPUT/work]",
)  # fmt: skip
@click.option("--timeout", "timeout_s", default=7200.0, show_default=True, help="Seconds for each process.")
def main(
    output: Path,
    targets: str | None,
    models: str,
    size: int,
    steps: int,
    repeats: int,
    baselines: str,
    in_short: bool,
    work: Path | None,
    timeout_s: float,
) -> None:
    """Prove the targets on this machine's GPU.

    Exits with 1 where a stage failed or a picture was not alike; bars that are missed are only said.
    """
    try:
        settings = Settings(
            words(targets), words(models), size, steps, repeats, words(baselines), timeout_s=timeout_s
        )  # fmt: skip
    except ValueError as reason:
        raise click.UsageError(str(reason)) from reason
    settings = quick(settings) if in_short else settings
    output.mkdir(parents=True, exist_ok=True)
    try:
        result = prove(settings, output, work or output / "work", lambda line: click.echo(line, err=True))
    except Refused as reason:
        click.echo(f"aquatint: {reason}", err=True)
        sys.exit(1)
    page = as_markdown(result)
    write_whole(output / TABLE, lambda beside: beside.write_text(page, encoding="utf-8"))
    click.echo(f"{as_text(result)}\n\n{output / RESULT}\n{output / TABLE}")
    sys.exit(0 if passed(result) else 1)


if __name__ == "__main__":
    main()
