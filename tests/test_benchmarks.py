"""Every benchmark runs, at a size that takes seconds, and ends with one JSON object of finite figures."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.machine import Spent, finish, machine_name, rates, ratios, timed

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"
SECONDS = 1800  # far above what any takes (on a free core 5 to 30); one that hangs must not hold up the others
# By file: the options of a short run, and some figures that its last line must have.
RUNS = {
    "by_hand/full_size_step.py": ("--preset ArAE-nano --tokens 40 --threads 1", ["seconds", "peak_gib", "loss_after"]),
    "data.py": (
        "--preset ArAE-nano-face --shapes 40 --count 4 --rounds 1",
        ["prepare_files_per_s_per_core", "render_ms", "loader_ratio", "loader_ratio_cpu_time", "features"],
    ),
    "decoders.py": (
        "--quick --minutes 0.01 --look 0.3 --test",
        ["nats_per_face", "loading_share", "generate_ratio_b1", "generate_ratio_b16"],
    ),
    "dit.py": ("--limit 2", ["ratio", "wins", "points_mean", "seconds_100_steps"]),
    "estimate.py": ("ArAE-nano", ["longest_gib", "step_flops"]),
    "generate.py": (
        "--quick",
        [
            *("b1_over_generate_b1", "b16_over_generate_b1", "b16_over_generate_b16", "face_b16_over_generate_b16"),
            *("bandwidth_share", "products_share", "peak_gb_40", "shipped_guided_b1_faces_per_s"),
        ],
    ),
    "gpu.py": ("--quick --device cpu", ["agreement", "generation_face", "generation_tiny", "training_tiny"]),
    "heldout.py": ("--limit 2", ["ratio", "trained_nats_per_face"]),
    "meto.py": ("--most_meshes 4 --most_faces 10000", ["encode_mfaces_per_s", "encode_growth", "bytes_per_face"]),
    "readers.py": ("--faces 3000 --rounds 1", ["least_ratio", "ratios", "right"]),
    "search.py": ("--rows base --seconds 0.1 --samples 8 --meshes 12 --device cpu", ["rows"]),
    "train.py": (
        "--quick --presets ArAE-nano-face ArAE-nano --meshes 6 --rounds 1",
        ["ArAE-nano-face", "ArAE-nano", "face_over_token", "mfu", "mfu_cpu_time"],
    ),
}


def programs() -> list[str]:
    """The benchmarks that are run by themselves."""
    files = sorted(FOLDER.rglob("*.py"))
    return [str(f.relative_to(FOLDER)) for f in files if "sys.exit(cli.run(main))" in f.read_text()]


def test_all_are_run_here():
    assert set(programs()) == set(RUNS)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """A folder for the data sets that all runs may share."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("name", RUNS)
def test_runs_and_ends_with_finite_figures(name, cache):
    options, expected = RUNS[name]
    figures = last_line(run(name, options, cache))
    assert figures["name"] == Path(name).stem
    assert not set(expected) - set(figures)
    numbers = list(leaves(figures))
    assert numbers
    assert all(math.isfinite(number) for number in numbers)
    assert all(figures[key] for key in expected)
    if name == "gpu.py":  # a step of the face decoder that begins a sub-mesh writes no face yet
        rates_of_16 = figures["generation_face"]["b16"]
        assert 0.5 < rates_of_16["faces_per_s"] / rates_of_16["groups_per_s"] < 1


@pytest.mark.parametrize("name", sorted(set(RUNS) - {"estimate.py"}))  # whose options are the preset's
def test_options_in_the_first_lines_exist(name):
    text = (FOLDER / name).read_text()
    usage = [line for line in text.split('"""')[1].splitlines() if f"python benchmarks/{name}" in line]
    assert usage
    known = set(re.findall(r'add_argument\(\s*"(--\w+)"', text))
    assert set(re.findall(r"--\w+", " ".join(usage))) <= known


def test_what_make_bench_does_not_run_is_named_in_its_help():
    makefile = (ROOT / "Makefile").read_text()
    run_by_make = re.search(r"^BENCHMARKS := (.*)$", makefile, re.MULTILINE)
    by_hand = re.search(r"^bench:.*##.*by hand: (.*)$", makefile, re.MULTILINE)
    assert run_by_make
    assert by_hand
    stems = {Path(name).stem for name in RUNS}
    assert set(run_by_make[1].split()) <= stems
    named = set(re.findall(r"\w+", by_hand[1])) & stems
    assert named == stems - set(run_by_make[1].split())


# ---- what they share ------------------------------------------------------------------------------------------------


def test_ratios_are_of_rounds_not_of_all():
    """A machine that is twice as busy in one round slows both, and the ratio stays."""
    theirs = [rates(10, Spent(1.0, 0.5)), rates(10, Spent(2.0, 0.5)), rates(10, Spent(1.0, 0.5))]
    ours = [rates(30, Spent(1.0, 0.5)), rates(30, Spent(2.0, 1.0)), rates(40, Spent(1.0, 0.5))]
    made = ratios("speed", ours, theirs)
    assert made == {
        "speed": 3.0,
        "speed_range": [3.0, 4.0],
        "speed_cpu_time": 3.0,
        "speed_cpu_time_range": [1.5, 4.0],
    }


def test_processor_time_leaves_out_waiting():
    import time

    result, spent = timed(lambda: time.sleep(0.2) or 7)
    assert result == 7
    assert spent.clock >= 0.2 > 10 * spent.processor
    _, spent = timed(lambda: sum(k * k for k in range(10**6)))
    assert spent.processor > 0.01


def test_finish_refuses_what_is_not_finite(capsys):
    assert finish({"name": "speed", "ratio": 2.5, "rounds": [1, 2]}) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["ratio"] == 2.5
    assert printed["machine"] == machine_name()
    assert re.search(r"\d+ cores", printed["machine"])
    with pytest.raises(ValueError, match="not JSON compliant"):
        finish({"name": "speed", "ratio": float(np.float64("nan"))})


def run(name: str, options: str, cache: Path) -> str:
    """What a benchmark prints, in a process of its own as in use; an error shows what it wrote."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(cache)}
    command = [sys.executable, str(FOLDER / name), *options.split()]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def last_line(printed: str) -> dict:
    made = json.loads(printed.strip().splitlines()[-1])
    assert isinstance(made, dict)
    return made


def leaves(value: object):
    """The numbers of a JSON value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from leaves(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value
