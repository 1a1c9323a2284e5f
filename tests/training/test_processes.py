"""Two processes over gloo: the same training as one, and it survives being killed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import torch
from safetensors.torch import load_file

from core.training import checkpoint

RUN = Path(__file__).with_name("toy_run.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
KILLS = int(os.environ.get("TRAIN_KILLS", "3"))
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}


def start(workspace, processes, **options):
    command = TORCHRUN if processes == 2 else [sys.executable]
    words = [f"{name}={value!r}" for name, value in options.items()]
    pipe = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*command, RUN, str(workspace), *words], env=ENVIRONMENT, **pipe)


def run(workspace, processes, **options):
    with start(workspace, processes, **options) as process:
        errors = process.communicate(timeout=120)[1]
    return process.returncode, errors


def curve(workspace, *names):
    lines = [json.loads(line) for line in (workspace / "metrics.jsonl").read_text().splitlines()]
    return [[line[name] for name in names] for line in lines if line["split"] == "train"]


def test_two_processes_give_the_gradients_of_one(tmp_path):
    """Dropout off: it is drawn for each process. Two batches of different sizes make each step either way."""
    options = {"eval_mode": "none", "dropout": 0.0, "num_epochs": 1, "gradient_clip": 0.0}
    assert run(tmp_path / "two", 2, **options)[0] == 0
    assert run(tmp_path / "one", 1, gradient_accumulation_steps=2, **options)[0] == 0
    two, one = (torch.tensor(curve(tmp_path / name, "loss", "grad_norm", "far")) for name in ("two", "one"))
    assert two.shape == (6, 3)
    torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-6)
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("two", "one")]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=1e-5, atol=1e-6)


def test_sharded_training_is_the_replicated_one_and_loads_in_one_process(tmp_path):
    options = {"ema": 0.9, "dropout": 0.0, "max_steps": 9, "save_every": 3, "gradient_accumulation_steps": 2}
    assert run(tmp_path / "whole", 2, **options)[0] == 0
    assert run(tmp_path / "sharded", 2, shard=True, **options)[0] == 0
    shutil.rmtree(tmp_path / "sharded" / "checkpoint-00000009")  # so it continues from the sixth step
    code, errors = run(tmp_path / "sharded", 2, shard=True, **options)
    assert code == 0, errors
    for name in ("model.safetensors", "ema.safetensors", "best.safetensors"):
        whole, sharded = (load_file(tmp_path / kind / name) for kind in ("whole", "sharded"))
        torch.testing.assert_close(sharded, whole, rtol=1e-5, atol=1e-6)
    code, errors = run(tmp_path / "sharded", 1, **{**options, "max_steps": 11})
    assert code == 0, errors
    assert "continues checkpoint-00000009" in errors


def test_one_process_has_nobody_to_share_with(tmp_path):
    code, errors = run(tmp_path, 1, shard=True)
    assert code == 1
    assert "error: --shard" in errors


def test_killed_at_any_moment_it_ends_with_the_same_weights(tmp_path):
    """TRAIN_KILLS=20 kills it so many times, which takes three minutes."""
    options = {"save_every": 2, "pause": 0.05, "num_epochs": 3 if KILLS < 10 else 8}
    assert run(tmp_path / "whole", 2, **options)[0] == 0
    rng = random.Random(0)
    for _ in range(KILLS):
        with start(tmp_path / "killed", 2, **options) as process:
            if wait_for(lambda: checkpoint.latest_checkpoint(tmp_path / "killed"), process):
                time.sleep(rng.random())
            kill(process)
    code, errors = run(tmp_path / "killed", 2, **options)
    assert code == 0, errors
    for name in ("model.safetensors", "best.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
    assert curve(tmp_path / "whole", "step", "loss") == curve(tmp_path / "killed", "step", "loss")


def test_sigterm_to_one_process_stops_both(tmp_path):
    with start(tmp_path, 2, num_epochs=10000, pause=0.01, save_every=5) as process:
        assert wait_for(lambda: checkpoint.latest_checkpoint(tmp_path), process)
        psutil.Process(process.pid).children()[-1].terminate()
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == 0, errors
    assert "stopped by SIGTERM" in errors
    step = checkpoint.read_state(checkpoint.latest_checkpoint(tmp_path))["position"]["step"]
    assert curve(tmp_path, "step")[-1] == [step]


def test_a_launcher_that_is_ended_takes_its_process_along(tmp_path):
    """`accelerate launch` passes no signal on."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    command = [*launch, RUN, str(tmp_path), "num_epochs=10000", "pause=0.01", "save_every=5"]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as process:
        assert wait_for(lambda: checkpoint.latest_checkpoint(tmp_path), process)
        process.terminate()
    assert wait_for(lambda: "stopped" in (tmp_path / "log.txt").read_text())


def test_loss_that_is_not_finite_in_one_process_stops_both(tmp_path):
    code, errors = run(tmp_path, 2, bad_step=17)
    assert code == 1
    assert "error: the loss is not finite at step 9" in errors
    names = {json.loads(p.read_text())["batches"][0]["samples"][0] for p in tmp_path.glob("not-finite-*")}
    assert names == {"batch-1-4", "batch-1-5"}
    assert checkpoint.latest_checkpoint(tmp_path).name == "checkpoint-00000006"


def test_unusable_workspace_is_told_once(tmp_path):
    (tmp_path / "file").write_text("")
    code, errors = run(tmp_path / "file", 2)
    assert code == 1
    assert errors.count("error: --workspace") == 1


def test_the_number_of_processes_may_change(tmp_path):
    options = {"eval_mode": "none", "num_epochs": 1}
    assert run(tmp_path, 2, max_steps=2, **options)[0] == 0
    assert run(tmp_path, 1, **options)[0] == 0
    assert len(curve(tmp_path, "step")) == 2 + (12 - 2 * 2), "four of twelve batches were used in two steps"


def kill(process):
    """Launcher and processes at once: they are in sessions of their own."""
    for each in [*psutil.Process(process.pid).children(recursive=True), process]:
        os.kill(each.pid, signal.SIGKILL)


def wait_for(condition, process=None, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until and (process is None or process.poll() is None):
        if value := condition():
            return value
        time.sleep(0.02)
    return None
