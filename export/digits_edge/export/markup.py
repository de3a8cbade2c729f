"""HTML that escapes whatever is not HTML already; digits as pictures, intervals as drawings."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

from digits_edge.trainer.confidence import Share

_VOID: Final = frozenset({"img", "meta"})  # have no content, and so no closing tag


class Markup(str):
    """Text that is HTML. Made by this module's functions; any other text is escaped before it gets there."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """An element; attributes in Python's spelling: ``class_``, ``text_anchor``."""
    told = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"' for name, value in attributes.items()
    )
    if tag in _VOID:
        return Markup(f"<{tag}{told}>")
    return Markup(f"<{tag}{told}>{joined(children)}</{tag}>")


def joined(children: Iterable[str]) -> Markup:
    """One after the other, escaped where they are plain text."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child) for child in children))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: Sequence[int] = (0,)) -> Markup:
    """A table; columns hold numbers, to the right, but for those of ``words``."""

    def line(tag: str, cells: Sequence[str]) -> Markup:
        return element(
            "tr",
            *(
                element(tag, cell) if place in words else element(tag, cell, class_="n")
                for place, cell in enumerate(cells)
            ),
        )

    top = [element("thead", line("th", head))] if any(head) else []
    body = element("table", *top, element("tbody", *(line("td", row) for row in rows)))
    return element("div", body, class_="wide")  # scrolls by itself where a screen is narrow


def picture(image: NDArray[np.uint8], alt: str) -> Markup:
    """uint8 ``(28, 28)``, 0 = background, 255 = ink, as dark ink on light paper."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(255 - image).save(file, "PNG", optimize=True)
    content = base64.b64encode(file.getvalue()).decode()
    return element("img", src=f"data:image/png;base64,{content}", alt=alt, width=28, height=28)


def intervals(shares: Sequence[Share], *, low: float) -> Markup:
    """Shares below each other on one scale from ``low`` to 1: a dot, and its 95 % interval as a line."""
    width, line = 240, 9

    def x(part: float) -> str:
        return f"{4 + (width - 8) * (part - low) / (1 - low):.1f}"

    marks: list[Markup] = []
    for place, share in enumerate(shares):
        y = 5 + line * place
        left, right = (x(max(end, low)) for end in share.interval)
        marks.append(element("line", x1=left, x2=right, y1=y, y2=y, class_=f"s{place}"))
        marks.append(element("circle", cx=x(share.part), cy=y, r=2.6, class_=f"s{place}"))
    height = 1 + line * len(shares)
    return element(
        "svg", *marks, viewBox=f"0 0 {width} {height}", width=width, height=height, aria_hidden="true"
    )


def share_cell(share: Share) -> Markup:
    """A share, with its interval in grey."""
    low, high = share.interval
    return joined((f"{share.part:.2%}", element("span", f"{low:.2%} – {high:.2%}", class_="range")))
