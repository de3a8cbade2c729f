"""The process of one subject: opens it, answers everything once, then times a turn whenever it is told to.

    python -m digits_edge.benchmarks.worker SUBJECT IMAGES

SUBJECT is JSON, IMAGES an .npy file. Speaks lines of JSON: first ``{"engine", "labels"}``, then for each line
``{"batch", "workers", "seconds", "warm_up"}`` that comes in a ``Turn``. A subject that fails says
``{"error"}`` and ends.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from digits_edge.benchmarks.scenarios import LARGEST
from digits_edge.benchmarks.subjects import Images, Opened, Subject, open_subject
from digits_edge.benchmarks.timing import answer_all, timed_turn
from digits_edge.runtime.errors import DigitsEdgeError


def serve(
    subject: Subject, images: Images, requests: Iterable[str], say: Callable[[dict[str, Any]], None]
) -> None:
    """Answers requests until there are no more.

    Args:
        subject: What to measure.
        images: uint8 ``(N, 28, 28)``.
        requests: Lines of JSON.
        say: Is given every answer.

    Raises:
        DigitsEdgeError: The subject failed.
    """
    opened: dict[int | None, Opened] = {None: open_subject(subject)}
    prepared = opened[None].prepare(images)
    expected = answer_all(opened[None], prepared, batch=LARGEST)
    say({"engine": opened[None].engine, "labels": expected.tolist()})
    for line in requests:
        request = json.loads(line)
        workers = request.pop("workers")
        if workers not in opened:
            opened[workers] = open_subject(subject, workers=workers)
        say(asdict(timed_turn(opened[workers], prepared, expected, **request)))


def _main(described: str, images_file: str) -> int:
    # What libraries print, on either stream, must not mix with the answers.
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def say(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=channel)

    try:
        serve(Subject.from_json(described), np.load(images_file), sys.stdin, say)
    except DigitsEdgeError as error:
        say({"error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
