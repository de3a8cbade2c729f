"""Run as a script in a fresh process: what it takes until the first answer, and the memory it then needs.

    python _coldstart.py SUBJECT IMAGES OWN LIBRARY…

SUBJECT is JSON, IMAGES an .npy file, OWN the subject's own package or "", LIBRARY what it stands on. Prints a
line of JSON with the first answer, and a second one after a large batch. Nothing is imported before the clock
runs but what every Python imports: a module that is there already costs nothing, and the measurement would be
too good.
"""

import os
import sys
import time

# The folder of a script comes first on the path, where its neighbours would hide modules of their names.
sys.path[:] = [entry for entry in sys.path if entry != os.path.dirname(os.path.abspath(__file__))]  # noqa: PTH100, PTH120


def _milliseconds(since: int) -> float:
    return (time.perf_counter_ns() - since) / 1e6


def _main(described: str, images_file: str, own: str, *libraries: str) -> None:
    # What libraries print must not mix with the answers.
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    clock = time.perf_counter_ns()
    for library in libraries:
        __import__(library)
    libraries_ms = _milliseconds(clock)
    clock = time.perf_counter_ns()
    if own:
        __import__(own)
    own_ms = _milliseconds(clock)

    import json

    import numpy as np

    from digits_edge.benchmarks.memory import peak_bytes
    from digits_edge.benchmarks.subjects import Subject, open_subject
    from digits_edge.runtime.errors import DigitsEdgeError

    def say(**values: object) -> None:
        print(json.dumps(values), file=channel)

    subject = Subject.from_json(described)
    images = np.load(images_file)
    try:
        clock = time.perf_counter_ns()
        opened = open_subject(subject)
        load_ms = _milliseconds(clock)
        one, many = opened.prepare(images[:1]), opened.prepare(images)
        clock = time.perf_counter_ns()
        first = opened.answer(one)
        first_ms = _milliseconds(clock)
        times = {"libraries_ms": libraries_ms, "own_ms": own_ms, "load_ms": load_ms, "first_ms": first_ms}
        say(**times, labels=opened.labels(first).tolist())
        answer = opened.answer(many)
        say(peak_bytes=peak_bytes(), labels=opened.labels(answer).tolist())
    except DigitsEdgeError as error:
        say(error=str(error))


if __name__ == "__main__":
    _main(*sys.argv[1:])
