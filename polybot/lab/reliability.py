"""The reliability diagram as SVG: what was predicted against what came true.

A vector picture of a dozen points needs no plotting library; any browser opens it.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from polybot.pricing.calibration import Bin

SIDE, MARGIN = 360, 48
INK, OURS, MARKET = "#333333", "#1f5fa8", "#c2571a"


def svg(ours: Sequence[Bin], market: Sequence[Bin], title: str) -> str:
    """Points with two standard errors, one colour each for the model and the market."""
    size = SIDE + 2 * MARGIN
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {size} {size}",
            "font-family": "sans-serif",
            "font-size": "12",
            "fill": INK,
        },
    )
    ET.SubElement(root, "title").text = title
    _frame(root, title)
    for bins, colour, shift in ((market, MARKET, 2.0), (ours, OURS, -2.0)):
        for one in bins:
            _point(root, one, colour, shift)
    _label(root, MARGIN + 8, MARGIN + 16, "model", OURS)
    if market:
        _label(root, MARGIN + 8, MARGIN + 32, "market", MARKET)
    return ET.tostring(root, encoding="unicode")


def _frame(root: ET.Element, title: str) -> None:
    box = {"x": MARGIN, "y": MARGIN, "width": SIDE, "height": SIDE}
    shape = {name: str(value) for name, value in box.items()}
    ET.SubElement(root, "rect", shape | {"fill": "white", "stroke": INK})
    _line(root, (0.0, 0.0), (1.0, 1.0), "#999999")
    _label(root, MARGIN, MARGIN - 16, title, INK)
    for tenth in range(0, 11, 2):
        x, y = _place(tenth / 10, tenth / 10)
        _label(root, x - 8, MARGIN + SIDE + 16, f"{tenth / 10:.1f}", INK)
        _label(root, MARGIN - 28, y + 4, f"{tenth / 10:.1f}", INK)
    _label(root, MARGIN + SIDE / 2 - 60, MARGIN + SIDE + 34, "predicted chance of Up", INK)
    _label(root, 4, MARGIN - 2, "share that was Up", INK)


def _place(x: float, y: float) -> tuple[float, float]:
    return MARGIN + SIDE * x, MARGIN + SIDE * (1 - y)


def _point(root: ET.Element, one: Bin, colour: str, shift: float) -> None:
    x, y = _place(one.mean_q, one.share_up)
    low, high = max(0.0, one.share_up - 2 * one.error), min(1.0, one.share_up + 2 * one.error)
    _line(root, (one.mean_q, low), (one.mean_q, high), colour, shift)
    where = {"cx": f"{x + shift:.1f}", "cy": f"{y:.1f}", "r": "4", "fill": colour}
    dot = ET.SubElement(root, "circle", where)
    told = f"{one.samples} samples at {one.mean_q:.3f}: {one.share_up:.3f} were Up"
    ET.SubElement(dot, "title").text = told


def _line(
    root: ET.Element,
    begin: tuple[float, float],
    end: tuple[float, float],
    colour: str,
    shift: float = 0.0,
) -> None:
    (x1, y1), (x2, y2) = _place(*begin), _place(*end)
    ends = {"x1": x1 + shift, "y1": y1, "x2": x2 + shift, "y2": y2}
    shape = {name: f"{value:.1f}" for name, value in ends.items()}
    ET.SubElement(root, "line", shape | {"stroke": colour})


def _label(root: ET.Element, x: float, y: float, text: str, colour: str) -> None:
    where = {"x": f"{x:.1f}", "y": f"{y:.1f}", "fill": colour}
    ET.SubElement(root, "text", where).text = text
