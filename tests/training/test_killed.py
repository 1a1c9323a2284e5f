"""kill -9 while it trains, evaluates or saves: main.py on the smallest preset ends with the bytes of a whole run."""

import itertools
import os
import random
import time

import pytest
from launch import MAIN, kill, last_step, reports, run, start, wait_for

from core.training import checkpoint

KILLS = int(os.environ.get("TRAIN_KILLS", "2"))
SAVE_EVERY, EVAL_EVERY = 2, 16
# A step is logged before it is saved: three more than the last step logged, and a newer checkpoint is there.
LEAST_STEPS, MOST_STEPS = SAVE_EVERY + 1, 8
LATENCY = 6  # steps that a fast machine may take between the last look at the log and the kill
STEPS = (KILLS + 1) * (MOST_STEPS + LATENCY)
WORDS = [MAIN, "ArAE-nano-face", "--num_shapes", "102", "--max_face_length", "40", "--testset_size", "8"]
WORDS += ["--batch_size", "3", "--num_workers", "1", "--num_epochs", "100000", "--max_steps", STEPS]
WORDS += ["--log_every", "1", "--save_every", SAVE_EVERY, "--eval_every", EVAL_EVERY]


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_at_any_moment_it_ends_with_the_same_weights(tmp_path, processes):
    """Each start has to get farther than the one before, or the kill would hit the imports.

    TRAIN_KILLS=20 kills each of the two runs so many times, which takes about ten minutes.
    """
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    code, errors = run([*WORDS, "--workspace", whole], processes)
    assert code == 0, errors
    rng = random.Random(processes)
    logged, saved = [0], [0]
    for _ in range(KILLS):
        target = logged[-1] + rng.randint(LEAST_STEPS, MOST_STEPS)
        with start([*WORDS, "--workspace", killed], processes) as process:
            wait_for(lambda target=target: last_step(killed) >= target, process)
            time.sleep(0.2 * rng.random())  # somewhere in a step, an evaluation or a checkpoint
            assert process.poll() is None, f"it ended before it was killed: {process.stderr.read()}"
            kill(process)
        logged.append(last_step(killed))
        saved.append(checkpoint.read_state(checkpoint.latest_checkpoint(killed))["position"]["step"])
    assert rises(logged), f"no step was taken between two kills: {logged}"
    assert rises(saved), f"no checkpoint was written between two kills: {saved}"
    assert saved[-1] < STEPS
    code, errors = run([*WORDS, "--workspace", killed], processes)
    assert code == 0, errors
    assert f"continues checkpoint-{saved[-1]:08d}" in errors
    for name in ("model.safetensors", "best.safetensors"):
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), name
    assert len(reports(whole)) == STEPS
    for split in ("train", "test"):
        assert reports(whole, split) == reports(killed, split)


def rises(numbers):
    return all(a < b for a, b in itertools.pairwise(numbers))
