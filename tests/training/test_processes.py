"""Two processes over gloo, on the toy task: sharded, stopped, failing, and as one."""

import json
import shutil
import subprocess
import sys

import launch
import psutil
import torch
from launch import ENVIRONMENT, TOY, curve, wait_for
from safetensors.torch import load_file

from core.training import checkpoint


def toy(workspace, **options):
    return [TOY, workspace, *(f"{name}={value!r}" for name, value in options.items())]


def start(workspace, processes, **options):
    return launch.start(toy(workspace, **options), processes)


def run(workspace, processes, **options):
    return launch.run(toy(workspace, **options), processes)


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
    words = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", "--num_machines", "1"]
    words += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    command = [*words, TOY, str(tmp_path), "num_epochs=10000", "pause=0.01", "save_every=5"]
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
