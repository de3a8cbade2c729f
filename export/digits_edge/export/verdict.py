"""A proof in plain words: is it the same model, where does it differ, can the file be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from digits_edge.export.proof import FileProof, Proof
from digits_edge.export.steadiness import BATCHES

_UNLIKELY = 0.05  # what chance alone does less often is called a difference


class Tone(str, Enum):
    """How an answer is to be taken."""

    GOOD = "good"
    BAD = "bad"
    PLAIN = "plain"


@dataclass(frozen=True)
class Finding:
    """The answer to one of a user's questions.

    Attributes:
        question: What is asked.
        answer: In a few words.
        reason: The figures behind it.
        tone: How it is to be taken.
    """

    question: str
    answer: str
    reason: str
    tone: Tone


def verdict(proof: Proof) -> tuple[Finding, Finding, Finding]:
    """The three answers."""
    return _same_model(proof), _differences(proof), _trust(proof)


def _same_model(proof: Proof) -> Finding:
    parity = proof.parity
    (before, after), question = proof.right, "Is it the same model?"
    accuracies = f"accuracy {before.part:.2%} before, {after.part:.2%} after"
    low, high = parity.same_label.interval
    agreement = f"{parity.agreement:.2%} of {parity.images:,} {parity.held_out} images get the same label"
    agreement += f" (95 % interval {low:.2%} – {high:.2%})"
    if proof.misses:
        return Finding(question, "No.", f"It misses its gate: {'; '.join(proof.misses)}.", Tone.BAD)
    if not parity.disagreements:
        answer = "Yes, label for label." if proof.gate else "The same labels."
        reason = f"All {parity.images:,} {parity.held_out} images get the same label, so other labels are "
        reason += f"rarer than {1 - low:.2%} (95 % sure). Accuracy {after.part:.2%}, both."
        return Finding(question, answer, reason, Tone.GOOD)
    chance = f"chance alone would part them so far with probability {parity.mcnemar_p:.2g} (exact McNemar)"
    if proof.gate:
        reason = f"{_sentence(agreement)}; {accuracies}; {chance}."
        return Finding(question, "Yes, within its gate.", reason, Tone.GOOD)
    accuracies = f"accuracy {before.part:.2%} ({proof.original.name}) and {after.part:.2%} "
    accuracies += f"({proof.exported.name})"
    if parity.mcnemar_p < _UNLIKELY:
        better = proof.original if parity.drop > 0 else proof.exported
        answer, tone = f"No: {better.name} is right more often.", Tone.BAD
    else:
        answer, tone = "Neither is right more often.", Tone.PLAIN
    return Finding(question, answer, f"{_sentence(agreement)}; {accuracies}; {chance}.", tone)


def _differences(proof: Proof) -> Finding:
    parity, question = proof.parity, "Where does it differ?"
    sentences = []
    if parity.disagreements:
        worst = max(proof.classes, key=lambda row: row.changed)
        changed = f"{worst.changed} of them of the digit {worst.digit}, the most of any"
        sentences.append(f"The images with another label are shown below, {changed}")
    sentences.append(
        f"A probability moves by {parity.max_difference:.2g} at most, {parity.mean_difference:.2g} on average"
        if parity.max_difference
        else "No probability moves"
    )
    weakest = min(proof.corruptions, key=lambda strain: strain.agreement.part)
    share = weakest.agreement
    if share.count == share.of:
        sentences.append("On damaged digits, too, every label is the same")
    else:
        sentences.append(
            f"On damaged digits the two agree least under “{weakest.kind.value}”: on {share.part:.1%} "
            f"of {counted(share.of, 'image')}"
        )
    if parity.disagreements:
        answer = f"On {counted(parity.disagreements, 'image')} of {parity.images:,}."
    else:
        answer = "In no label." if parity.max_difference else "Nowhere."
    return Finding(question, answer, f"{'. '.join(sentences)}.", Tone.PLAIN)


def _trust(proof: Proof) -> Finding:
    question = "Can I trust this file?" if len(proof.files) == 1 else "Can I trust these files?"
    if not proof.files:
        return Finding(question, "There is none.", "Both are runs, answered in Keras.", Tone.PLAIN)
    broken = [file.name for file in proof.files if not (file.steadiness.repeats and file.steadiness.reopens)]
    sentences = [
        _steady(proof.files) if not broken else f"{', '.join(broken)} answers the same batch in two ways",
        *(_elsewhere(file, several=len(proof.files) > 1) for file in proof.files),
        "If its SHA-256 is the one below, or its signature is verified, a file is the one looked at here",
    ]
    reason = f"{'. '.join(sentences)}."
    if proof.misses or broken:
        return Finding(question, "No." if broken else "Not as that model.", reason, Tone.BAD)
    return Finding(question, "As far as was looked, yes.", reason, Tone.GOOD)


def _steady(files: tuple[FileProof, ...]) -> str:
    text = "The same image gets the same answer alone and in batches of up to "
    text += f"{max(BATCHES):,}, each time it is asked"
    if all(file.steadiness.identical for file in files):
        return f"{text}, bit for bit"
    furthest = max(batch.max_difference for file in files for batch in file.steadiness.batches)
    return f"{text}, but for {furthest:.1g} of a probability"


def _elsewhere(file: FileProof, *, several: bool) -> str:
    ran = [engine.same_label for engine in file.engines if engine.same_label is not None]
    what = file.name if several else "it"
    if not ran:
        return f"No other engine was there to run {what}"
    least = min(ran, key=lambda share: share.part)
    labels = "every label alike" if least.count == least.of else f"{least.part:.1%} of the labels alike"
    return f"Run by {counted(len(ran), 'other engine')}, {what} gives {labels}"


def counted(count: int, thing: str) -> str:
    """``1 image``, ``2 images``."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
