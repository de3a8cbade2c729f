"""Where a command writes to: named after what it is about, and there before the work begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def place_name(path: Path) -> str:
    """A name for what is about a path: its parts below the working directory, or all where it lies elsewhere.

    Seeds of two series have the same last part.
    """
    whole = path.resolve()
    here = Path.cwd()
    return "-".join(whole.relative_to(here).parts if here in whole.parents else whole.parts[1:])


@contextmanager
def made(directory: Path) -> Iterator[None]:
    """Makes a directory before the minutes that it takes to fill it; if these come to nothing, it goes again.

    Raises:
        OSError: It cannot be made.
    """
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # something was put there
            for path in missing:
                path.rmdir()
        raise
