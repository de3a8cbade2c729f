"""What is made for which words of the command, and what is refused with a reason."""

from __future__ import annotations

import sys

import pytest

from digits_edge.export.jobs import (
    FOR_C,
    Asked,
    FormatWord,
    Job,
    Several,
    asked_for,
    jobs_for,
    provable_target,
)
from digits_edge.export.targets import REFUSED, TARGETS, TargetName
from digits_edge.runtime import Format, InputError, Precision
from digits_edge.trainer.errors import SetupError

GENERIC, MCU = TARGETS[TargetName.GENERIC], TARGETS[TargetName.MCU]
X86_AVX2, ARM64 = TARGETS[TargetName.X86_AVX2], TARGETS[TargetName.ARM64]
INT8_ONNX = Job(Format.ONNX, Precision.INT8)


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


# Words of the command.


def test_without_a_format_the_target_says_what_is_made() -> None:
    assert asked_for([], [Precision.INT8], GENERIC) == Asked((INT8_ONNX,), c_sources=False)
    assert asked_for([], [Precision.INT8], MCU) == Asked((FOR_C,), c_sources=True)


@pytest.mark.parametrize(
    "words", [[FormatWord.C], [FormatWord.C, FormatWord.C], [FormatWord.ALL, FormatWord.C]]
)
def test_c_is_a_bundle_and_its_sources_however_often_it_is_said(words: list[FormatWord]) -> None:
    asked = asked_for(words, [Precision.INT8], GENERIC)
    assert asked.c_sources
    assert asked.jobs.count(FOR_C) == 1
    assert not asked.notes


@pytest.mark.parametrize("precision", [Several.AUTO, Precision.FLOAT32])
def test_c_sources_that_are_named_are_made_or_refused(precision: Precision | Several) -> None:
    with pytest.raises(InputError, match="C sources are made of the int8 TFLite model; use --precision int8"):
        asked_for([FormatWord.C], [precision], GENERIC)


@pytest.mark.parametrize("precision", [Several.AUTO, Precision.FLOAT32])
def test_of_all_c_sources_are_left_out_with_a_word(precision: Precision | Several) -> None:
    asked = asked_for([FormatWord.ALL], [precision], GENERIC)
    assert [job.format for job in asked.jobs] == [Format.ONNX, Format.TFLITE]
    assert not asked.c_sources
    assert asked.notes == ("no C sources: they are made of int8 TFLite, by --precision int8 or all",)


def test_without_tflm_all_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tflite_micro", None)  # how Python marks what it cannot import
    asked = asked_for([FormatWord.ALL], [Several.ALL], GENERIC)
    assert not asked.c_sources
    assert asked.notes == ("no C sources: tflite-micro is not installed (Linux on x86-64 only)",)


# Processors.


@pytest.mark.parametrize("precision", [Precision.INT8, None])
def test_what_is_generic_is_made_exact_where_this_processor_is_not(precision: Precision | None) -> None:
    jobs = (Job(Format.ONNX, precision),)
    assert provable_target(GENERIC, jobs, frozenset()) is X86_AVX2
    assert provable_target(X86_AVX2, jobs, frozenset()) is X86_AVX2
    for here in (frozenset({"x86-vnni"}), frozenset({"arm64"}), None):
        assert provable_target(GENERIC, jobs, here) is GENERIC


@pytest.mark.parametrize("job", [FOR_C, Job(Format.ONNX, Precision.FLOAT32), Job(Format.TFLITE, None)])
def test_what_is_exact_anywhere_stays_as_it_was_asked_for(job: Job) -> None:
    for target in (GENERIC, ARM64):
        assert provable_target(target, (job,), frozenset()) is target


def test_another_target_is_proved_where_it_is_exact() -> None:
    with pytest.raises(SetupError, match=r"arm64 cannot be proved .*on x86-vnni or arm64, or with --target"):
        provable_target(ARM64, (INT8_ONNX,), frozenset())
