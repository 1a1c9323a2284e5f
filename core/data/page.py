"""Pages to look at: one HTML file each, without scripts or links, so that it can be kept, sent and opened anywhere."""

import base64
import html
import io

import numpy as np

BARS = 32

STYLE = """
:root { --ink: #1d2230; --soft: #667085; --line: #e4e7ec; --bar: #4f74b3; --test: #e0924c; --paper: #f7f8fa; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 36px 28px 64px; }
h1 { font-size: 26px; margin: 0; } h2 { font-size: 18px; margin: 0 0 14px; }
header p { color: var(--soft); margin: 4px 0 24px; overflow-wrap: anywhere; }
section { background: white; border: 1px solid var(--line); border-radius: 10px; padding: 20px 22px; margin-top: 18px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; }
.tile { background: white; border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px; }
.tile b { display: block; font-size: 24px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; } figure { margin: 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(330px, 1fr)); gap: 22px; }
figcaption { font-weight: 600; font-size: 14px; }
figcaption span { color: var(--soft); font-weight: 400; }
svg { width: 100%; height: auto; display: block; } svg text { font-size: 11px; fill: var(--soft); }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; color: var(--soft); font-weight: 500; font-size: 13px; }
th, td { padding: 8px 14px 8px 0; border-top: 1px solid var(--line); vertical-align: top; }
tr:first-child th { border-top: 0; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; width: 70px; }
td .meter { height: 5px; border-radius: 3px; background: var(--bar); margin: 6px 0 0 auto; min-width: 2px; }
.examples { color: var(--soft); font-size: 12.5px; overflow-wrap: anywhere; } .examples code { color: var(--ink); }
code { font: 12.5px ui-monospace, "DejaVu Sans Mono", monospace; }
img { width: 100%; height: auto; display: block; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 6px 24px; margin: 0;
  font-size: 13.5px; }
dl div { display: flex; justify-content: space-between; gap: 12px; border-bottom: 1px dotted var(--line); }
dt { color: var(--soft); } dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
.key { font-size: 13px; font-weight: 400; color: var(--soft); margin-left: 16px; }
.key::before { content: ""; display: inline-block; width: 10px; height: 10px; border-radius: 2px; }
.key::before { background: var(--c); margin-right: 5px; }
@media print { body { background: white; } section { break-inside: avoid; } }
"""


def page(title: str, heading: str, told: str, sections: list[str], style: str = "") -> str:
    """A whole page.

    Args:
        title: of the window, as text.
        heading: of the page, as text.
        told: what the page is about, as HTML.
        sections: HTML.
        style: CSS besides that of every page.
    """
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{STYLE}{style}</style><main>"
        f"<header><h1>{html.escape(heading)}</h1><p>{told}</p></header>{''.join(sections)}</main></html>\n"
    )


def tiles(pairs: list[tuple[str, str]]) -> str:
    """Numbers in large type, each with what it is: (HTML, HTML)."""
    return (
        "<div class=tiles>"
        + "".join(f"<div class=tile><b>{number}</b><span>{what}</span></div>" for number, what in pairs)
        + "</div>"
    )


def options_list(pairs: list[tuple[str, object]]) -> str:
    """A list of options and their values; an empty value is a dash."""
    rows = "".join(
        f"<div><dt>{name}</dt><dd><code>{html.escape(str(value)) or '–'}</code></dd></div>" for name, value in pairs
    )
    return f"<dl>{rows}</dl>"


def image(picture: np.ndarray, alt: str) -> str:
    """(H, W, 3) uint8 as part of the page."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(fewer_colors(picture))).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"<img alt='{html.escape(alt, quote=True)}' src='data:image/png;base64,{data}'>"


def fewer_colors(picture: np.ndarray) -> np.ndarray:
    """The low two bits dropped: a third of the bytes, and nobody sees it."""
    return np.where(picture > 251, 255, picture & 0xFC).astype(np.uint8)


def histogram(title: str, values: np.ndarray, tests: np.ndarray, log: bool) -> str:
    """An SVG figure: counts of all values, those of the test split on top; `log`: steps that grow, for sizes."""
    values = values.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    edges = _edges(low, high, log)
    total, test = np.histogram(values, edges)[0], np.histogram(values[tests], edges)[0]
    width, height, left, bottom, top = 360, 190, 40, 26, 8
    span_x, span_y = width - left - 8, height - bottom - top
    peak = max(int(total.max()), 1)
    parts = []
    for share in (0, 0.5, 1):
        y = top + span_y * (1 - share)
        parts.append(f"<line x1={left} x2={width - 8} y1={y:.1f} y2={y:.1f} stroke='#e4e7ec'/>")
        parts.append(f"<text x={left - 6} y={y + 4:.1f} text-anchor=end>{short(round(peak * share))}</text>")
    step = span_x / len(total)
    thick = min(step - 1, 48)
    for k, (a, b) in enumerate(zip(total.tolist(), test.tolist(), strict=True)):
        for count, color in ((a, "var(--bar)"), (b, "var(--test)")):
            if count:
                tall = max(span_y * count / peak, 1)
                x, y = left + (k + 0.5) * step - thick / 2, top + span_y - tall
                box = f"x={x:.1f} y={y:.1f} width={thick:.1f} height={tall:.1f}"
                title_text = f"{edges[k]:.4g} to {edges[k + 1]:.4g}: {count}"
                parts.append(f"<rect {box} rx=1 fill='{color}'><title>{title_text}</title></rect>")
    for at, side, text in _ticks(edges):
        parts.append(f"<text x={left + at * span_x:.1f} y={height - 8} text-anchor={side}>{text}</text>")
    caption = f"{title} <span>median {short(float(np.median(values)))}, {short(low)} to {short(high)}</span>"
    return (
        f"<figure><figcaption>{caption}</figcaption><svg viewBox='0 0 {width} {height}'>{''.join(parts)}</svg></figure>"
    )


def _ticks(edges: np.ndarray) -> list[tuple[float, str, str]]:
    """(place from 0 to 1, alignment, text) of up to five numbers below a histogram."""
    bars = len(edges) - 1
    if np.isclose(np.diff(edges), 1).all():  # a bar each for whole numbers: named in its middle
        middle = np.unique(np.linspace(0, bars - 1, 5).round().astype(int)).tolist()
        return [((k + 0.5) / bars, "middle", short(edges[k] + 0.5)) for k in middle]
    sides = {0: "start", bars: "end"}
    between = np.linspace(0, bars, 5).round().astype(int).tolist()
    return [(k / bars, sides.get(k, "middle"), short(edges[k])) for k in between]


def _edges(low: float, high: float, log: bool) -> np.ndarray:
    if log and low > 0 and high - low < BARS:  # few different whole numbers: a bar each
        return np.arange(low, high + 2) - 0.5
    if high <= low:
        return np.array([low - 0.5, low + 0.5])
    return np.geomspace(low, high * 1.0001, BARS + 1) if log and low > 0 else np.linspace(low, high, BARS + 1)


def short(number: float) -> str:
    """1234567 -> 1.23 M."""
    for size, sign in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(number) >= size:
            return f"{number / (1e3 if sign == ' k' else size):.3g}{sign}"
    return f"{number:,.0f}" if number >= 100 or float(number).is_integer() else f"{number:.3g}"
