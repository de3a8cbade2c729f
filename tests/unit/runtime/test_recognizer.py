"""Recognizer: the same answers whatever the batch, the threads and the callers."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.runtime import (
    BundleNotFoundError,
    EngineError,
    InputError,
    Plan,
    Predictions,
    Recognizer,
    SelfTestError,
    read_bundle,
)

Images = NDArray[np.uint8]
Make = Callable[..., Path]


@pytest.fixture(scope="module")
def one_by_one(bundle: Path, digits: Images) -> NDArray[np.float32]:
    """Probabilities of each digit, asked alone."""
    with Recognizer.load(bundle, workers=1) as recognizer:
        return np.concatenate([recognizer.predict(image).probabilities for image in digits])


def assert_same(predictions: Predictions, probabilities: NDArray[np.float32]) -> None:
    # A float engine may sum in another order for another batch size; nothing else may differ.
    np.testing.assert_allclose(predictions.probabilities, probabilities, atol=2e-6)
    np.testing.assert_array_equal(predictions.labels, probabilities.argmax(axis=1))


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────


def test_real_digits_are_read(bundle: Path, digits: Images, labels: NDArray[np.uint8]) -> None:
    with Recognizer.load(bundle) as recognizer:
        accuracy = (recognizer.predict(digits).labels == labels).mean()
    assert accuracy >= (0.98 if bundle.name == "default" else 0.95)


@pytest.mark.parametrize("count", [1, 2, 7, 33, 1000])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_batch_is_answered_like_its_images_one_by_one(
    bundle: Path, digits: Images, one_by_one: NDArray[np.float32], count: int, workers: int
) -> None:
    rows = np.arange(count) % len(digits)
    with Recognizer.load(bundle, workers=workers) as recognizer:
        assert_same(recognizer.predict(digits[rows]), one_by_one[rows])


@pytest.mark.parametrize("chunk", [1, 5, 64, 10_000])
def test_the_chunk_size_changes_no_answer(
    bundle: Path, digits: Images, one_by_one: NDArray[np.float32], chunk: int
) -> None:
    with Recognizer.load(bundle, workers=2, chunk=chunk) as recognizer:
        assert recognizer.plan == Plan(2, chunk)
        assert_same(recognizer.predict(digits[:100]), one_by_one[:100])


def test_sizes_may_alternate(bundle: Path, digits: Images, one_by_one: NDArray[np.float32]) -> None:
    with Recognizer.load(bundle, workers=2) as recognizer:
        for count in (3, 200, 1, 3, 64, 1):
            assert_same(recognizer.predict(digits[:count]), one_by_one[:count])


def test_an_answer_stays_when_the_next_is_asked_for(bundle: Path, digits: Images) -> None:
    with Recognizer.load(bundle, workers=1) as recognizer:
        first = recognizer.predict(digits[:1])
        before = first.probabilities.copy()
        recognizer.predict(digits[1:2])
    np.testing.assert_array_equal(first.probabilities, before)


def test_a_stream_asks_for_one_batch_at_a_time(recognizer: Recognizer, digits: Images) -> None:
    taken = []

    def batches() -> Iterator[Images]:
        for number in range(3):
            taken.append(number)
            yield digits[number * 4 : number * 4 + 4]

    stream = recognizer.stream(batches())
    assert taken == []
    assert_same(next(stream), recognizer.predict(digits[:4]).probabilities)
    assert taken == [0]
    assert [len(predictions) for predictions in stream] == [4, 4]
    assert taken == [0, 1, 2]


def test_a_stream_without_batches(recognizer: Recognizer) -> None:
    assert list(recognizer.stream([])) == []


def test_temperature_and_threshold_are_the_bundles(bundled: Make, digits: Images) -> None:
    plain = Recognizer.load(bundled("honest.onnx")).predict(digits[:9])
    warm = Recognizer.load(bundled("honest.onnx", temperature=50.0, reject_threshold=0.15)).predict(
        digits[:9]
    )
    assert (warm.confidence < plain.confidence).all()
    assert not plain.rejected.any()
    np.testing.assert_array_equal(warm.rejected, warm.confidence < 0.15)
    assert 0 < warm.rejected.sum() < 9


def test_it_tells_what_it_is(bundle: Path) -> None:
    with Recognizer.load(bundle, workers=2, chunk=16) as recognizer:
        library = "litert " if "tflite" in bundle.name else "onnxruntime "
        assert recognizer.engine.startswith(library)
        assert recognizer.manifest.model.path.startswith("model.")
        for part in (recognizer.manifest.name, recognizer.engine, "workers=2, chunk=16"):
            assert part in repr(recognizer)


# ── Threads ────────────────────────────────────────────────────────────────────────────────────────────────

THREADS = """
import os, sys, time
import numpy as np
if "tflite" in sys.argv[1]:
    import ai_edge_litert.interpreter
else:
    import onnxruntime
from digits_edge.runtime import Recognizer

def threads():
    return len(os.listdir("/proc/self/task"))

before = threads()
recognizer = Recognizer.load(sys.argv[1], workers=int(sys.argv[2]))
for count in map(int, sys.argv[3:]):
    recognizer.predict(np.zeros((count, 28, 28), np.uint8))
    print(threads() - before)
recognizer.close()
deadline = time.monotonic() + 20
while threads() > before and time.monotonic() < deadline:  # the system takes a moment to bury a thread
    time.sleep(0.01)
print(threads() - before)
"""


def threads_of(bundle: Path, workers: int, *counts: int) -> list[int]:
    """Threads that a fresh process has more than before, after each batch and after closing."""
    command = [sys.executable, "-c", THREADS, str(bundle), str(workers), *map(str, counts)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(line) for line in done.stdout.split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no /proc")
def test_one_worker_is_the_caller_alone(bundle: Path) -> None:
    assert threads_of(bundle, 1, 1, 40, 1000) == [0, 0, 0, 0]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no /proc")
def test_threads_start_when_a_batch_is_worth_them(bundle: Path) -> None:
    *small, large, after_it, closed = threads_of(bundle, 3, 1, 23, 1000, 1)
    assert small == [0, 0]
    assert 1 <= large == after_it <= 2
    assert closed == 0


def test_many_callers_at_once(bundle: Path, digits: Images, one_by_one: NDArray[np.float32]) -> None:
    sizes = [1, 2, 7, 33, 100, 1, 64, 150]
    with Recognizer.load(bundle, workers=3) as recognizer, ThreadPoolExecutor(8) as callers:
        start = threading.Barrier(8)

        def ask(caller: int) -> None:
            start.wait()
            for turn in range(5):
                first = (caller * 61 + turn * 97) % 400
                rows = slice(first, first + sizes[(caller + turn) % 8])
                assert_same(recognizer.predict(digits[rows]), one_by_one[rows])

        for done in [callers.submit(ask, caller) for caller in range(8)]:
            done.result(timeout=120)


def test_closing_ends_the_threads_and_twice_is_as_good(tiny: Path, digits: Images) -> None:
    with Recognizer.load(tiny, workers=3) as recognizer:
        recognizer.predict(digits)
        assert [thread for thread in threading.enumerate() if thread.name.startswith("digits-edge")]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("digits-edge")]
    recognizer.close()


def test_a_closed_recognizer_answers_on_the_callers_thread(tiny: Path, digits: Images) -> None:
    recognizer = Recognizer.load(tiny, workers=3)
    expected = recognizer.predict(digits).probabilities
    recognizer.close()
    assert_same(recognizer.predict(digits), expected)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("digits-edge")]


def test_a_busy_helper_is_not_waited_for(tiny: Path, digits: Images) -> None:
    with Recognizer.load(tiny, workers=2) as recognizer, ThreadPoolExecutor(1) as callers:
        pool = recognizer._pool
        assert pool is not None
        release = threading.Event()
        pool.submit(release.wait)
        try:
            assert len(callers.submit(recognizer.predict, digits).result(timeout=60)) == 600
        finally:
            release.set()


def test_an_error_leaves_the_context_and_closes(tiny: Path) -> None:
    with pytest.raises(InputError), Recognizer.load(tiny, workers=2) as recognizer:
        recognizer.predict(np.zeros((2, 3)))
    assert recognizer._pool is None


# ── Processes ──────────────────────────────────────────────────────────────────────────────────────────────

PROCESSES = """
import multiprocessing, sys, threading
import numpy as np
from digits_edge.runtime import Recognizer

recognizer = None

def read(images):
    global recognizer
    if recognizer is None:
        recognizer = Recognizer.load(sys.argv[1], workers=2)
    labels = recognizer.predict(images).labels.tolist()
    return labels, threading.active_count()

if __name__ == "__main__":
    method, digits = sys.argv[2], np.load(sys.argv[3])["images"]
    expected, threads = read(digits)  # starts a thread, which a forked child has not
    assert threads == 2
    with multiprocessing.get_context(method).Pool(2) as pool:
        for labels, threads in pool.map(read, [digits] * 4, chunksize=1):
            assert labels == expected
            assert threads == 2, "the child works on one processor"
    assert read(digits) == (expected, 2)
    print("same")
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes(bundle: Path, golden: Path, tmp_path: Path, method: str) -> None:
    if method == "fork" and sys.platform != "linux":
        pytest.skip("forking is for Linux")
    script = tmp_path / "script.py"
    script.write_text(PROCESSES)
    # Python warns of any fork in a process with threads.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(script), str(bundle), method]
    done = subprocess.run(
        [*command, str(golden / "digits.npz")], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == "same\n", done.stderr


# ── Refusals ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("numbers", [{"workers": 0}, {"workers": -2}, {"chunk": 0}])
def test_numbers_below_one(tiny: Path, numbers: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected at least 1 each"):
        Recognizer.load(tiny, **numbers)


def test_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFoundError):
        Recognizer.load(tmp_path)


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("marked", [[0], [599], [300], range(600)], ids=["first", "last", "middle", "all"])
def test_an_engine_that_fails_in_one_chunk_fails_the_batch_and_works_again(
    bundled: Make, digits: Images, workers: int, marked: list[int]
) -> None:
    bad = digits.copy()
    bad[marked, 0, 0] = 255
    with Recognizer.load(bundled("fails-on-a-marked-corner.onnx"), workers=workers) as recognizer:
        expected = recognizer.predict(digits).probabilities
        for _ in range(3):
            with pytest.raises(EngineError, match=r"onnxruntime [\d.]+ failed: .*out of data bounds"):
                recognizer.predict(bad)
            assert_same(recognizer.predict(digits), expected)


class _FailsFirst:
    """An engine of its own kind, as the protocol allows: its first call fails, the others take a moment."""

    name = "fails first"

    def __init__(self) -> None:
        self.calls = 0

    def logits(self, images: Images) -> NDArray[np.float32]:
        self.calls += 1
        if self.calls == 1:
            raise EngineError("the first call failed")
        time.sleep(0.01)
        return np.zeros((len(images), 10), np.float32)


def test_after_a_failure_the_other_chunks_are_left_undone(tiny: Path, digits: Images) -> None:
    engine = _FailsFirst()
    recognizer = Recognizer(read_bundle(tiny), engine, Plan(workers=3, chunk=1))
    with pytest.raises(EngineError, match="the first call failed"):
        recognizer.predict(digits)
    recognizer.close()  # waits for the helpers
    assert engine.calls < 100


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        ("eleven-logits.onnx", r"5 images with shape \(5, 11\); expected \(5, 10\)"),
        ("two-outputs.onnx", r"tensor\(uint8\), tensor\(float\), tensor\(float\); expected one"),
        ("float-input.onnx", r"are tensor\(float\), tensor\(float\); expected one tensor\(uint8\) in"),
    ],
)
def test_a_model_that_is_no_digit_reader(bundled: Make, model: str, complaint: str) -> None:
    with pytest.raises(EngineError, match=complaint):
        Recognizer.load(bundled(model))


def test_what_fails_is_told_once(bundled: Make, capfd: pytest.CaptureFixture[str], digits: Images) -> None:
    recognizer = Recognizer.load(bundled("fails-on-a-marked-corner.onnx"))
    bad = digits[:1].copy()
    bad[0, 0, 0] = 255
    with pytest.raises(EngineError):
        recognizer.predict(bad)
    assert capfd.readouterr() == ("", "")


def honest(images: Images) -> NDArray[np.float64]:
    product: NDArray[np.float64] = images.mean(axis=(1, 2))[:, None] * np.linspace(-1, 1, 10)
    return product


def test_golden_answers_within_the_tolerance(bundled: Make, digits: Images) -> None:
    near = honest(digits[:5]) * (1 + 1e-5)
    Recognizer.load(bundled("honest.onnx", golden_logits=near, golden_tolerance=0.01))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda logits: logits[:, ::-1], "gives 5 other labels for 5 golden images"),
        (
            lambda logits: np.where(np.arange(5)[:, None] == 3, logits[:, ::-1], logits),
            "gives 1 other labels",
        ),
        (lambda logits: logits * 0.8, r"gives 0 other labels .* apart \(allowed 0.001\); do not use"),
    ],
    ids=["all wrong", "one wrong", "unsure"],
)
def test_a_machine_that_computes_wrongly_is_refused(
    bundled: Make,
    digits: Images,
    change: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    complaint: str,
) -> None:
    with pytest.raises(SelfTestError, match=complaint):
        Recognizer.load(bundled("honest.onnx", golden_logits=change(honest(digits[:5]))))


def test_another_label_is_refused_whatever_the_tolerance(bundled: Make, digits: Images) -> None:
    turned = honest(digits[:5])[:, ::-1]
    with pytest.raises(SelfTestError, match="gives 5 other labels"):
        Recognizer.load(bundled("honest.onnx", golden_logits=turned, golden_tolerance=0.9999999))


@pytest.mark.parametrize(
    ("safe_on", "remedy"),
    [
        (("any",), "export one for this processor"),
        (("s390x-nnpa",), "it is exact on s390x-nnpa only; export it with --target x86-avx2"),
    ],
)
def test_where_a_bundle_is_not_exact_the_refusal_says_what_is(
    bundled: Make, digits: Images, safe_on: tuple[str, ...], remedy: str
) -> None:
    saturated = honest(digits[:5]) + 2
    with pytest.raises(SelfTestError, match=f"do not use this bundle here, {remedy}$"):
        Recognizer.load(bundled("honest.onnx", golden_logits=saturated, safe_on=safe_on))


def test_answers_that_are_no_numbers_are_refused(bundled: Make) -> None:
    with pytest.raises(SelfTestError, match="not finite"):
        Recognizer.load(bundled("nan-logits.onnx"))


def test_tflite_without_litert_says_what_to_install(golden: Path) -> None:
    code = (
        "import sys; sys.modules['ai_edge_litert'] = None\n"  # as if it were not installed
        "from digits_edge.runtime import EngineError, Recognizer\n"
        "try: Recognizer.load(sys.argv[1])\n"
        "except EngineError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(golden / "tiny-tflite-int8")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 'pip install "digits-edge-runtime[litert]"' in done.stdout
