"""ONNX Runtime as the runtime opens it (see ``runtime.engines``), with an eye on what happens inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from digits_edge.runtime.errors import EngineError


def session_options() -> Any:
    """Options of a quiet, single-threaded session that reads ONNX and nothing else."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what fails is raised
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return options


def open_session(content: bytes, *, profile: Path | None = None) -> Any:
    """A single-threaded session of the CPU provider, with all graph optimizations on.

    Args:
        content: The model.
        profile: Directory for a profile, which the session's ``end_profiling`` names.

    Raises:
        EngineError: ONNX Runtime does not take the model.
    """
    import onnxruntime as ort

    options = session_options()
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile / "profile")
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise EngineError(f"ONNX Runtime {ort.__version__} does not take the model: {error}") from error
