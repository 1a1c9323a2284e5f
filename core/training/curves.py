"""A picture of a run's curves, from its metrics.jsonl.

python -m core.training.curves WORKSPACE -o curves.png [--names loss nats_per_face token_accuracy]
"""

import argparse
import json
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from core import cli
from core.training.log import METRICS_NAME

SIZE, MARGIN = (460, 300), (64, 34, 24, 40)  # of a plot; its left, top, right and bottom margins, in pixels
COLORS = [(31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189)]
TICKS = 5
NAMES = ["loss", "nats_per_face", "token_accuracy"]

Series = dict[str, list[tuple[float, float]]]


def read(workspace: Path, name: str) -> Series:
    """(step, value) of a metric by split.

    Raises:
        ValueError: no run there, or none that reports this metric.
    """
    file = workspace / METRICS_NAME
    if not file.exists():
        raise ValueError(f"{workspace}: no {METRICS_NAME} there; a training workspace is needed")
    series: Series = {"train": [], "test": []}
    for line in map(json.loads, file.read_text().splitlines()):
        if name in line:
            series[line["split"]].append((line["step"], line[name]))
    if not any(series.values()):
        raise ValueError(f"{file}: it has no {name}")
    return series


def plot(name: str, series: Series, over: str = "step") -> Image.Image:
    """A plot of a metric over steps, or over something else, a line for each series."""
    points = [point for line in series.values() for point in line]
    right = max(x for x, _ in points) or 1
    low, high = min(y for _, y in points), max(y for _, y in points)
    high = high if high > low else low + 1
    image = Image.new("RGB", SIZE, "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    left, top, rest_x, rest_y = MARGIN
    width, height = SIZE[0] - left - rest_x, SIZE[1] - top - rest_y

    def place(x: float, y: float) -> tuple[float, float]:
        return left + width * x / right, top + height * (high - y) / (high - low)

    for k in range(TICKS):
        x, y = right * k / (TICKS - 1), low + (high - low) * k / (TICKS - 1)
        draw.line([place(0, y), place(right, y)], fill=(225, 225, 225))
        draw.text((left - 6, place(0, y)[1]), f"{y:.3g}", fill="black", font=font, anchor="rm")
        draw.text((place(x, low)[0], SIZE[1] - rest_y + 6), f"{x:,.0f}", fill="black", font=font, anchor="mt")
    draw.text((left + width / 2, SIZE[1] - 4), over, fill="black", font=font, anchor="mb")
    draw.text((left, 8), name, fill="black", font=ImageFont.load_default(15), anchor="lt")
    for k, (split, line) in enumerate(series.items()):
        color = COLORS[k % len(COLORS)]
        if len(line) > 1:
            draw.line([place(*point) for point in line], fill=color, width=2, joint="curve")
        draw.text((SIZE[0] - rest_x - 40 * k, 10), split, fill=color, font=font, anchor="rt")
    return image


def sheet(workspace: Path, names: list[str]) -> Image.Image:
    """The plots of several metrics, side by side."""
    plots = [plot(name, read(workspace, name)) for name in names]
    picture = Image.new("RGB", (SIZE[0] * len(plots), SIZE[1]), "white")
    for k, image in enumerate(plots):
        picture.paste(image, (SIZE[0] * k, 0))
    return picture


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="picture to write")
    parser.add_argument(
        "--names", nargs="+", default=["loss", "nats_per_face", "token_accuracy"], help="metrics to plot"
    )
    options = parser.parse_args()
    picture = sheet(options.workspace, options.names)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    picture.save(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
