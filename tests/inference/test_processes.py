"""When to stop, and whose inputs are whose."""

import os
import signal
import subprocess
import sys

import pytest

from core.inference.best import distance_to_points
from core.inference.share import Share
from core.inference.stop import Stop


@pytest.mark.parametrize(
    ("number", "reason", "code"), [(signal.SIGINT, "interrupted", 130), (signal.SIGTERM, "terminated", 143)]
)
def test_a_signal_is_noted_and_the_handlers_come_back(number, reason, code):
    before = signal.getsignal(number)
    with Stop() as stop:
        assert (stop(), stop.exit_code) == (False, 0)
        os.kill(os.getpid(), number)
        assert (stop(), stop.signalled, stop.reason, stop.exit_code) == (True, True, reason, code)
    assert signal.getsignal(number) == before


def test_a_second_interrupt_ends_at_once_whatever_a_launcher_adds():
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)  # torchrun sends it after the terminal's Ctrl-C
        assert stop.reason == "interrupted"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_time_runs_out():
    assert not Stop(1000)()
    stop = Stop(1e-9)
    assert (stop(), stop.signalled, stop.exit_code) == (True, False, 124)


def test_a_process_whose_launcher_is_gone_stops():
    code = (
        "import os, time\nfrom core.inference.stop import Stop\nstop = Stop()\n"
        "while not stop(): time.sleep(0.02)\nprint(stop.reason, flush=True)"
    )
    launcher = f"import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {code!r}])\ntime.sleep(1.5)"
    environment = {**os.environ, "LOCAL_RANK": "0"}
    done = subprocess.run([sys.executable, "-c", launcher], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "terminated\n", done.stderr


def test_a_share_of_the_environment(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert Share.of_environment() == Share(0, 1)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert Share.of_environment() == Share(2, 3)
    parts = [Share(rank, 3).of(range(10)) for rank in range(3)]
    assert sorted(item for part in parts for item in part) == list(range(10))
    for rank in ("3", "-1", "x", ""):
        monkeypatch.setenv("RANK", rank)
        with pytest.raises(ValueError, match=f"RANK={rank} and WORLD_SIZE=3"):
            Share.of_environment()
    monkeypatch.delenv("RANK")
    with pytest.raises(ValueError, match="RANK=None and WORLD_SIZE=3"):
        Share.of_environment()


def test_distance_of_a_mesh_to_points():
    import numpy as np

    from core.data.mesh import Mesh

    square = Mesh(np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32), np.array([[0, 1, 2], [0, 2, 3]]))
    points = np.random.default_rng(0).random((2000, 3)).astype(np.float32) * [1, 1, 0]
    assert distance_to_points(square, points) < 0.02
    assert distance_to_points(square, points + [0, 0, 0.3]) == pytest.approx(0.3, abs=0.01)
    half = Mesh(square.vertices, square.faces[:1])  # near to half of the points, and all of it near to some
    assert 0.02 < distance_to_points(half, points) < 0.1
    assert distance_to_points(Mesh(square.vertices, square.faces[:0]), points) == np.inf
    assert distance_to_points(Mesh(square.vertices * 0, square.faces), points) == np.inf
