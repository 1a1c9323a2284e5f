"""The smallest presets by two processes, replicated and sharded, against one: the same losses, gradients, weights."""

import pytest
import torch
from launch import MAIN, curve, reports, run
from safetensors.torch import load_file

STEPS = 6
# What is drawn at random is drawn for each process. A dozen meshes in whole batches are the same batches either way.
WORDS = ["--num_shapes", "102", "--max_face_length", "40", "--testset_size", "8", "--num_workers", "0"]
WORDS += ["--batch_size", "3", "--no_sort_by_length", "--nof_dropout_ratio", "0", "--points_dropout", "0"]
WORDS += ["--mixed_precision", "no", "--max_steps", STEPS, "--eval_every", STEPS, "--log_every", "1"]
RUNS = {
    "one": (1, ["--gradient_accumulation_steps", "2"]),
    "two": (2, []),
    "sharded": (2, ["--shard"]),
}


@pytest.mark.parametrize("preset", ["ArAE-nano", "ArAE-nano-face"])
def test_two_processes_and_shards_train_as_one(tmp_path, preset):
    for name, (processes, more) in RUNS.items():
        code, errors = run([MAIN, preset, *WORDS, *more, "--workspace", tmp_path / name], processes)
        assert code == 0, errors
        assert "12 meshes an epoch" in errors, "another number does not divide into the same steps"
        assert f"{processes} process(es)" in errors
        assert ("(FSDP)" in errors) == (name == "sharded")
    names = ("loss", "grad_norm", "nats_per_face", "token_accuracy")
    whole = torch.tensor(curve(tmp_path / "one", *names), dtype=torch.float64)
    assert whole.shape == (STEPS, len(names))
    for name in ("two", "sharded"):
        shared = torch.tensor(curve(tmp_path / name, *names), dtype=torch.float64)
        torch.testing.assert_close(shared, whole, rtol=1e-5, atol=1e-6)
        (one,), (other,) = (reports(tmp_path / each, "test") for each in ("one", name))
        # (Its loss also has the parts that are a batch's, and the test meshes are in other batches for two processes.)
        assert other["nats_per_face"] == pytest.approx(one["nats_per_face"], rel=1e-5)
        weights, others = (load_file(tmp_path / each / "model.safetensors") for each in ("one", name))
        worst = max(float((others[k] - tensor).abs().max()) for k, tensor in weights.items())
        print(preset, name, worst, float((shared - whole).abs().max()))
        assert others.keys() == weights.keys()
        assert worst < 1e-5
