"""How an export looks in a terminal: a bar for the step at hand, a table of proofs at the end."""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from digits_edge.export.micro import Micro
    from digits_edge.export.pipeline import Exported


class StepProgress:
    """Watches an export (a ``digits_edge.export.pipeline.Watcher``) and shows it on standard error.

    It writes to a duplicate of the descriptor, so it goes on showing while the converters write to a log.
    """

    def __init__(self) -> None:
        self._stderr = os.fdopen(os.dup(2), "w")
        console = Console(file=self._stderr, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._what = ""
        self.results: list[Exported] = []
        self.sources: list[Micro] = []

    def __enter__(self) -> StepProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        self._stderr.close()

    def on_step(self, what: str, done: int, total: int) -> None:
        if self._task is None or what != self._what:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task, self._what = self._progress.add_task(what, total=total), what
            if not self._progress.console.is_terminal:
                self._progress.console.print(what, markup=False)
        self._progress.update(self._task, completed=done)

    def on_result(self, exported: Exported) -> None:
        self.results.append(exported)

    def on_sources(self, micro: Micro) -> None:
        self.sources.append(micro)


def proofs(results: Sequence[Exported]) -> Table:
    """The table of what was proved, a row a bundle."""
    parity = results[0].parity
    table = Table(
        title=f"the same model? {parity.images:,} {parity.held_out} images, "
        f"Keras {parity.accuracy_original:.2%}",
        title_justify="left",
        caption="lost: accuracy, in points · McNemar: how likely chance alone parts the two so far\n"
        f"accepts: validation images, an estimated {results[0].sureness.error_rate:.2%} errors among them",
        caption_justify="left",
    )
    table.add_column("bundle")
    for name in ("KiB", "accuracy", "lost", "same label", "McNemar p", "max |Δp|", "accepts", "s", ""):
        table.add_column(name, justify="right")
    for result in results:
        parity = result.parity
        table.add_row(
            result.path.name,
            f"{result.size / 1024:,.0f}",
            f"{parity.accuracy_exported:.2%}",
            f"{parity.drop:+.2f}",
            f"{parity.agreement:.2%}",
            f"{parity.mcnemar_p:.2f}",
            f"{parity.max_difference:.1e}",
            f"{result.sureness.coverage:.1%}",
            f"{result.seconds:.0f}",
            "[red]refused[/]" if result.misses else "[green]proved[/]",
        )
    return table


def attempts(result: Exported) -> Table:
    """The table of what was tried before a file was chosen."""
    tried = result.selection.tried
    images = tried[0].parity.images
    table = Table(
        title=f"{result.path.name}: what was tried, on {images:,} validation images",
        title_justify="left",
        caption="\n".join(
            (
                "speed: images a second over float32's, same engine, one thread, this machine (quartiles)",
                *_ranked(result),
            )
        ),
        caption_justify="left",
    )
    table.add_column("candidate")
    for name in ("accuracy", "same label", "KiB", "speed"):
        table.add_column(name, justify="right")
    table.add_column("")
    for candidate in tried:
        table.add_row(
            candidate.name,
            f"{candidate.parity.accuracy_exported:.2%}",
            f"{candidate.parity.agreement:.2%}",
            f"{len(candidate.model) / 1024:,.0f}",
            "" if candidate.speed is None else str(candidate.speed),
            candidate.verdict,
        )
    return table


def _ranked(result: Exported) -> Iterator[str]:
    """What int8 costs each layer, where it came to asking."""
    if result.selection.ranking:
        each = (
            f"{layer.layer} {layer.logit_error:.2g} ({layer.noise_ratio:.0f} dB)"
            for layer in result.selection.ranking
        )
        yield f"int8 in one layer alone changes logits by (and is heard at its output at): {', '.join(each)}"


def sources(made: Sequence[Micro]) -> Table:
    """The table of C sources that were proved."""
    table = Table(title="C sources, run in TensorFlow Lite Micro", title_justify="left")
    table.add_column("directory")
    for name in ("images", "accuracy", "same as LiteRT", "flash", "arena", "operators"):
        table.add_column(name, justify="right")
    for micro in made:
        table.add_row(
            micro.path.name,
            f"{micro.proof.images:,}",
            f"{micro.proof.accuracy:.2%}",
            f"{micro.proof.agreement:.2%}",
            f"{micro.flash_bytes:,} B",
            f"{micro.arena.total:,} B",
            str(len(micro.operators)),
        )
    return table


def print_results(progress: StepProgress, *, as_json: bool) -> None:
    """Prints what an export got to, as tables or as JSON; nothing where it got to nothing."""
    from digits_edge.cli.printing import print_json, print_table

    if not progress.results and not progress.sources:
        return
    if as_json:
        sources_made = [
            {"kind": "c", "sources": str(micro.path), **micro.to_json()} for micro in progress.sources
        ]
        print_json([*(result.to_json() for result in progress.results), *sources_made])
        return
    for result in progress.results:
        if len(result.selection.tried) > 1:
            print_table(attempts(result))
    if progress.results:
        print_table(proofs(progress.results))
    if progress.sources:
        print_table(sources(progress.sources))
