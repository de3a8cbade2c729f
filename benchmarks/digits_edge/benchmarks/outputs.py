"""Where a result goes: checked before minutes are spent on measuring."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from digits_edge.benchmarks.results import Results
from digits_edge.runtime.errors import InputError
from digits_edge.trainer.errors import SetupError


@dataclass(frozen=True)
class Outputs:
    """Files to write.

    Attributes:
        save: The result as JSON, or None.
        plot: The result as a PNG, or None.
    """

    save: Path | None = None
    plot: Path | None = None

    def __post_init__(self) -> None:
        for path in (self.save, self.plot):
            if path is not None and path.is_dir():
                raise InputError(f"{path}: a directory; expected the name of a file to write")
        if self.plot is not None and self.plot.suffix.lower() != ".png":
            raise InputError(f"{self.plot}: plots are PNG files; expected a name that ends in .png")
        if self.plot is not None and find_spec("matplotlib") is None:
            raise SetupError('plots need matplotlib; install it with: pip install "digits-edge[bench]"')

    def make_directories(self) -> None:
        """Makes the directories that the files go to.

        Raises:
            OSError: That is not possible.
        """
        for path in (self.save, self.plot):
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, results: Results) -> tuple[Path, ...]:
        """Writes the files atomically; returns those written."""
        if self.save is not None:
            results.save(self.save)
        if self.plot is not None:
            from digits_edge.benchmarks.figures import results_figure
            from digits_edge.trainer.figures import save

            save(results_figure(results), self.plot)
        return tuple(path for path in (self.save, self.plot) if path is not None)
