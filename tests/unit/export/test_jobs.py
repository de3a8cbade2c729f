"""What is made for which words of the command, and what is refused with a reason."""

from __future__ import annotations

import pytest

from digits_edge.export.jobs import FOR_C, Job, Several, jobs_for
from digits_edge.export.targets import REFUSED, TARGETS, TargetName
from digits_edge.runtime import Format, InputError, Precision

GENERIC, MCU = TARGETS[TargetName.GENERIC], TARGETS[TargetName.MCU]


def test_all_is_what_is_worth_having_in_each_format() -> None:
    made = [(job.format.value, job.precision) for job in jobs_for(tuple(Format), (Several.ALL,), GENERIC)]
    assert [precision for kind, precision in made if kind == "onnx"] == [Precision.FLOAT32, Precision.INT8]
    assert {precision for kind, precision in made if kind == "tflite"} == {
        *(Precision.FLOAT32, Precision.FLOAT16, Precision.INT8, Precision.WEIGHTS8),
    }


def test_auto_is_one_file_a_format() -> None:
    assert jobs_for(tuple(Format), (Several.AUTO,), GENERIC) == (
        Job(Format.ONNX, None),
        Job(Format.TFLITE, None),
    )


def test_auto_stands_alone() -> None:
    with pytest.raises(InputError, match="expected it alone"):
        jobs_for((Format.ONNX,), (Several.AUTO, Precision.INT8), GENERIC)


def test_several_precisions_are_made_in_their_order_and_each_once() -> None:
    named = (Precision.INT8, Precision.FLOAT32, Precision.INT8)
    assert jobs_for((Format.ONNX,), named, GENERIC) == (
        Job(Format.ONNX, Precision.INT8),
        Job(Format.ONNX, Precision.FLOAT32),
    )


def test_a_named_precision_is_made_even_where_all_leaves_it_out() -> None:
    assert jobs_for((Format.TFLITE,), (Precision.INT16X8,), GENERIC) == (
        Job(Format.TFLITE, Precision.INT16X8),
    )


@pytest.mark.parametrize(
    ("precision", "reason"),
    [
        (Precision.WEIGHTS8, "no weights8 onnx: .*dynamic int8.*five times slower than float32"),
        (Precision.FLOAT16, "no float16 onnx: .*compute in 32 bits"),
        (Precision.INT16X8, "no int16x8 onnx: .*no integers of 16 bits"),
    ],
)
def test_what_onnx_does_not_do_well_is_refused_with_the_reason(precision: Precision, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        jobs_for((Format.ONNX,), (precision,), GENERIC)
    # Of several formats those that have it are made.
    assert jobs_for(tuple(Format), (precision,), GENERIC) == (Job(Format.TFLITE, precision),)


def test_what_is_named_is_made_or_nothing_is() -> None:
    with pytest.raises(InputError, match="no float16 onnx"):
        jobs_for((Format.ONNX,), (Precision.FLOAT16, Precision.INT8), GENERIC)


def test_a_microcontroller_gets_integers() -> None:
    assert jobs_for(tuple(Format), (Several.ALL,), MCU) == (FOR_C,)
    with pytest.raises(InputError, match="mcu runs no onnx; ask for --format c or tflite"):
        jobs_for((Format.ONNX,), (Precision.INT8,), MCU)
    with pytest.raises(InputError, match="has no floats; ask for int8 or int16x8"):
        jobs_for((Format.TFLITE,), (Precision.FLOAT32,), MCU)


@pytest.mark.parametrize("name", TargetName)
def test_every_target_is_in_the_table_and_contradicts_nothing(name: TargetName) -> None:
    target = TARGETS[name]
    for kind, precisions in target.precisions.items():
        assert not any((kind, precision) in REFUSED for precision in precisions)
        assert not any((kind, precision) in REFUSED for precision in target.candidates[kind])
    # Eight bits saturate without VNNI; a bundle that says "any" must not have them.
    if Format.ONNX in target.precisions:
        assert target.seven_bits == (target.safe_on == ("any",))
