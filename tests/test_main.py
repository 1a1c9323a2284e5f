"""main.py as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SMALL = ["ArAE-nano", "--num_shapes", "60", "--testset_size", "16"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def run(*words, launcher=()):
    command = [sys.executable, *launcher, "main.py", *words]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)


def test_two_processes_through_accelerate(tmp_path):
    launcher = ["-m", "accelerate.commands.launch", "--config_file", "acc_configs/cpu.yaml"]
    done = run(*SMALL, "--workspace", str(tmp_path), "--max_steps", "3", "--num_workers", "1", launcher=launcher)
    assert done.returncode == 0, done.stderr
    assert "no --data given: training on procedural shapes, 60 of them" in done.stderr
    assert "2 process(es)" in done.stderr
    assert done.stderr.count("finished after 3 steps") == 1
    assert sorted(p.name for p in tmp_path.glob("c*")) == ["checkpoint-00000003", "config.json"]
    record = json.loads((tmp_path / "config.json").read_text())
    assert record["preset"] == "ArAE-nano"
    assert record["options"]["train"]["max_steps"] == 3
    reports = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert reports[-1]["split"] == "test"
    assert 0 < reports[-1]["loss"] < 10
    assert (tmp_path / "pictures" / "meshes-00000003.png").exists()


def test_sigterm_stops_with_data_workers_and_exits_0(tmp_path):
    command = [sys.executable, "main.py", *SMALL, "--workspace", str(tmp_path), "--num_workers", "2"]
    command += ["--save_every", "2", "--num_epochs", "100000", "--eval_mode", "none"]
    # A scheduler signals every process of the job, data workers as well.
    pipes = {"stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, **pipes) as process:
        until = time.monotonic() + 120
        while not list(tmp_path.glob("checkpoint-*")) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGTERM)
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == 0, errors
    assert "stopped by SIGTERM" in errors


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ArAE-huge"], "ArAE-huge"),
        ([*SMALL, "--data", "no/such/folder"], "no/such/folder"),
        ([*SMALL, "--resume", "no/such/weights.safetensors"], "no/such/weights.safetensors"),
        ([*SMALL, "--lr", "-1"], "--lr -1.0"),
    ],
)
def test_what_is_wrong_takes_one_line(words, message, tmp_path):
    workspace = [] if words == ["ArAE-huge"] else ["--workspace", str(tmp_path)]
    done = run(*words, *workspace)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert message in errors[0]
