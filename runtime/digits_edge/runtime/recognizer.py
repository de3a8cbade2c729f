"""Recognizer: load a bundle, predict batches, stream."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from digits_edge.runtime.bundle import Bundle, default_bundle, read_bundle
from digits_edge.runtime.engines import Engine, open_engine
from digits_edge.runtime.errors import EngineError, SelfTestError
from digits_edge.runtime.images import as_images
from digits_edge.runtime.manifest import Manifest
from digits_edge.runtime.plan import Plan, plan
from digits_edge.runtime.predictions import Predictions
from digits_edge.runtime.processor import exact, instruction_sets, warn_if_inexact

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor


class Recognizer:
    """A loaded model. Made by :meth:`load`; safe to share between threads; use it as a context or close it.

    Example:
        >>> recognizer = Recognizer.load()
        >>> recognizer.predict(images).labels
        array([7, 2, 1, 0])
    """

    def __init__(self, bundle: Bundle, engine: Engine, plan: Plan) -> None:
        self._manifest = bundle.manifest
        self._engine = engine
        self._plan = plan
        self._pool = _pool(plan)
        self._process = os.getpid()

    @classmethod
    def load(
        cls,
        bundle: str | os.PathLike[str] | None = None,
        *,
        workers: int | None = None,
        chunk: int | None = None,
        trusted_key: str | os.PathLike[str] | None = None,
    ) -> Recognizer:
        """Verifies a bundle, opens its engine, and checks that the engine computes right here.

        A bundle that is not exact on this processor, int8 ONNX of 8-bit weights on x86 without VNNI, is
        refused by its golden answers; where they still come out right, it is loaded with a warning
        (`InexactProcessorWarning`).

        Args:
            bundle: The bundle's directory; by default the one that ships with this package.
            workers: Threads; by default one for each processor this process may use. 1 starts none.
            chunk: Images a call of the engine; by default 32.
            trusted_key: Public key, a PEM file; only a bundle that its owner signed, unchanged since, is
                loaded. By default signatures are not looked at. Needs the extra ``signing``.

        Raises:
            BundleError: The bundle was refused; its subclasses say why.
            EngineError: The engine is missing or does not take the model.
            InputError: ``workers`` or ``chunk`` is below 1, or ``trusted_key`` is no public key.
        """
        chosen = plan(workers=workers, chunk=chunk)
        opened = read_bundle(default_bundle() if bundle is None else bundle, trusted_key=trusted_key)
        engine = open_engine(opened.manifest.format, opened.model)
        _self_test(opened, engine)
        warn_if_inexact(opened.manifest)
        return cls(opened, engine, chosen)

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself."""
        return self._manifest

    @property
    def plan(self) -> Plan:
        """Threads and chunk size."""
        return self._plan

    @property
    def engine(self) -> str:
        """Name and version of the inference engine."""
        return self._engine.name

    def predict(self, images: ArrayLike) -> Predictions:
        """Recognizes a batch.

        Args:
            images: uint8 ``(N, 28, 28)``, 0 = background, 255 = ink, N of 1 or more. ``(28, 28)``,
                ``(N, 28, 28, 1)``, ``(N, 784)`` and floats in [0, 1] are taken too.

        Returns:
            N answers, in the order of the images.

        Raises:
            InputError: The images break the contract.
            EngineError: The engine failed.
        """
        logits = self._logits(as_images(images))
        return Predictions.from_logits(
            logits, temperature=self._manifest.temperature, threshold=self._manifest.reject_threshold
        )

    def stream(self, batches: Iterable[ArrayLike]) -> Iterator[Predictions]:
        """Recognizes one batch after the other; holds no more than one of them."""
        return (self.predict(batch) for batch in batches)

    def close(self) -> None:
        """Ends the worker threads; what is still asked afterwards, the caller's thread does alone."""
        pool, self._pool = self._pool, None
        if pool is not None and self._process == os.getpid():
            pool.shutdown()

    def __enter__(self) -> Recognizer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        model = self._manifest
        kind = f"{model.format.value} {model.precision.value}"
        return f"<Recognizer {model.name} {kind}, {self.engine}, {self._plan}>"

    def _logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        todo = deque(self._plan.slices(len(images)))
        if len(todo) == 1:
            return self._engine.logits(images)
        logits = np.empty((len(images), len(self._manifest.labels)), np.float32)

        def work() -> None:
            try:
                while (part := _take(todo)) is not None:
                    logits[part] = self._engine.logits(images[part])
            except BaseException:
                todo.clear()  # the others stop at their next chunk
                raise

        helpers = self._start(work, min(self._plan.workers, len(todo)) - 1)
        work()
        for helper in helpers:
            if not helper.cancel():  # one that has not begun by now has nothing left to do
                helper.result()
        return logits

    def _start(self, work: Callable[[], None], count: int) -> list[Future[None]]:
        """Has helper threads work too; none where there are none."""
        if self._pool is not None and self._process != os.getpid():
            # A forked child inherits the pool without its threads.
            self._pool, self._process = _pool(self._plan), os.getpid()
        pool = self._pool
        if pool is None:
            return []
        try:
            return [pool.submit(work) for _ in range(count)]
        except RuntimeError as error:  # closed just now, or the system has no thread to give
            raise EngineError(f"cannot start {count} threads ({error}); load with workers=1") from error


def _take(todo: deque[slice]) -> slice | None:
    try:
        return todo.popleft()
    except IndexError:  # another worker took the last one
        return None


def _pool(plan: Plan) -> ThreadPoolExecutor | None:
    """Helper threads; the caller's is a worker too. None of them starts before a batch is worth it."""
    if plan.workers == 1:
        return None
    from concurrent.futures import ThreadPoolExecutor  # here and not above: it brings logging with it

    return ThreadPoolExecutor(plan.workers - 1, "digits-edge")


def _self_test(bundle: Bundle, engine: Engine) -> None:
    """Replays the golden answers, so that a machine that computes wrongly fails closed.

    Raises:
        SelfTestError: A label differs, or a logit by more than the manifest allows.
    """
    answers = engine.logits(bundle.golden.images)
    if not np.isfinite(answers).all():
        raise SelfTestError(
            f"{engine.name} on this machine gives logits that are not finite; do not use this bundle here"
        )
    expected = bundle.golden.logits
    labels = int(np.count_nonzero(expected.argmax(axis=1) != answers.argmax(axis=1)))
    # Logits, not probabilities: those of a sure answer hardly move when the sums behind it saturate.
    difference = float(np.abs(expected - answers).max())
    if labels or not difference <= bundle.manifest.golden_tolerance:
        raise SelfTestError(
            f"{engine.name} on this machine gives {labels} other labels for {len(expected)} golden images, "
            f"logits up to {difference:.2g} apart (allowed {bundle.manifest.golden_tolerance:.2g}); "
            f"do not use this bundle here, {_instead(bundle.manifest)}"
        )


def _instead(manifest: Manifest) -> str:
    """What to do about golden answers that do not come out right."""
    if exact(manifest.safe_on, instruction_sets()):
        return "export one for this processor"
    return f"it is exact on {', '.join(manifest.safe_on)} only; export it with --target x86-avx2"
