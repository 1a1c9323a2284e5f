"""Means, curves and lines."""

import io
import json
import logging
import re
import time

import pytest
from rich.console import Console

from core.training import log
from core.training.bar import Bar


def test_window_means_weigh_by_count():
    window = log.Window()
    window.add({"loss": (6.0, 2.0)})
    window.add({"loss": (1.0, 8.0), "empty": (0.0, 0.0)})
    assert window.means() == {"loss": pytest.approx(0.7)}
    window.clear()
    assert window.means() == {}


def test_metrics_file_drops_what_will_be_reported_again(tmp_path):
    file = log.MetricsFile(tmp_path, 0)
    for step in (2, 4, 6):
        file.write(step, "train", {"loss": step / 2})
    with file.path.open("a") as broken:
        broken.write('{"step": 8, "lo')
    log.MetricsFile(tmp_path, 4).write(6, "test", {"loss": 9.0})
    lines = [json.loads(line) for line in file.path.read_text().splitlines()]
    assert [(line["step"], line["split"]) for line in lines] == [(2, "train"), (4, "train"), (6, "test")]


def test_lines_where_there_is_no_terminal(caplog, monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    with caplog.at_level(logging.INFO, "core"):
        bar = Bar(Console(file=io.StringIO()), True, "toy")
        bar.start(0.5)  # continues at a half
        monkeypatch.setattr(time, "monotonic", lambda: 10.0)
        bar.update(0.6, "loss 1")
        monkeypatch.setattr(time, "monotonic", lambda: 11.0)
        bar.update(0.61, "loss 2")  # too soon
        bar.update(0.61, "loss 3", force=True)
    assert caplog.messages == [
        "toy  60.0 % | loss 1 | ETA 0:00:40",
        "toy  61.0 % | loss 3 | ETA 0:00:39",
    ]


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_narrow_terminal_shows_percentage_and_eta(monkeypatch, width):
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    screen = io.StringIO()
    bar = Bar(Console(file=screen, force_terminal=True, width=width, color_system=None), True, "ArAE")
    bar.start(0.0)
    monkeypatch.setattr(time, "monotonic", lambda: 3600.0)
    text = "epoch 12 step 12345 | loss 4.1234 | 12,345 tokens/s | packed (23 % padding saved) | MFU 55 %"
    bar.update(0.25, text, force=True)
    bar.close()
    lines = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", screen.getvalue()).replace("\r", "\n").splitlines()
    last = next(line for line in reversed(lines) if line.strip())
    assert " 25.0 % ETA 3:00:00 epoch 12" in last
    assert (text in last) == (width == 140)
    assert len(last.rstrip()) <= width


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00:00"), (3661, "1:01:01"), (86400 * 3 + 59.6, "3 d 0:01:00")])
def test_duration(seconds, text):
    assert log.duration(seconds) == text
