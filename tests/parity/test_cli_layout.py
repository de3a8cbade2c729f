"""``digits-edge export --layout triton`` of a run: proved bundles, and the repository made from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from digits_edge.runtime import read_bundle
from digits_edge.trainer.runs import Run

if TYPE_CHECKING:
    from tests.parity.conftest import Done


@pytest.mark.slow
def test_a_run_becomes_a_bundle_and_a_model_for_triton(
    run: Run, tmp_path: Path, cli: Callable[..., Done]
) -> None:
    out = tmp_path / "bundles"
    done = cli("export", run.path, "--layout", "triton", "--out", out)
    assert done.code == 0, done.err
    assert f"tritonserver --model-repository={out / 'triton'}" in done.out
    served = out / "triton" / "edge-onnx-int8"
    assert (served / "1" / "model.onnx").read_bytes() == read_bundle(out / "edge-onnx-int8").model
    assert (served / "config.pbtxt").is_file()
