"""The loop on a toy task: exact continuation, stopping, accumulation, failures."""

import json
import os
import signal
from dataclasses import replace

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState
from safetensors.torch import load_file
from toy import ToyTask

from core.training import checkpoint, guards
from core.training.ema import Ema
from core.training.steps import grouped, with_last
from core.training.trainer import TrainConfig, Trainer

CONFIG = TrainConfig(num_epochs=3, mixed_precision="no", lr=1e-2, log_every=4, threads=1)


def make_trainer(workspace, task=None, **options):
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    return Trainer(replace(CONFIG, workspace=str(workspace), **options), task or ToyTask())


def train(workspace, task=None, **options):
    return make_trainer(workspace, task, **options).fit()


def weights(workspace):
    return load_file(workspace / "model.safetensors")


def curve(workspace):
    """The reports, without what the clock decides."""
    lines = [json.loads(line) for line in (workspace / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "tokens_per_second"} for line in lines]


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def assert_continued(workspace):
    """A run that silently began anew would end with the same weights as well."""
    assert "continues checkpoint-" in (workspace / "log.txt").read_text()


class KilledError(Exception):
    pass


def killer(epoch, batch):
    def on_batch(e, b):
        if (e, b) == (epoch, batch):
            raise KilledError

    return on_batch


@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("killed_at", [(1, 1), (1, 4), (2, 1)])  # after the first checkpoint
def test_a_killed_run_continues_bit_for_bit(tmp_path, killed_at, precision):
    options = {"save_every": 2, "gradient_accumulation_steps": 2, "mixed_precision": precision, "log_every": 1}
    train(tmp_path / "whole", **options)
    with pytest.raises(KilledError):
        train(tmp_path / "killed", ToyTask(on_batch=killer(*killed_at)), **options)
    position = train(tmp_path / "killed", **options)
    assert position.step == 9
    assert_continued(tmp_path / "killed")
    assert_equal(weights(tmp_path / "whole"), weights(tmp_path / "killed"))
    assert curve(tmp_path / "whole") == curve(tmp_path / "killed")
    whole, killed = (checkpoint.read_state(checkpoint.latest_checkpoint(tmp_path / n)) for n in ("whole", "killed"))
    for name, moments in whole["optimizer"]["state"].items():
        assert_equal(moments, killed["optimizer"]["state"][name])


def test_a_report_that_spans_a_restart_is_the_same(tmp_path):
    options = {"save_every": 3, "log_every": 5, "eval_mode": "none"}
    train(tmp_path / "whole", **options)
    with pytest.raises(KilledError):
        train(tmp_path / "killed", ToyTask(on_batch=killer(1, 3)), **options)
    train(tmp_path / "killed", **options)
    assert_continued(tmp_path / "killed")
    assert curve(tmp_path / "whole") == curve(tmp_path / "killed")


def test_sigterm_saves_and_the_same_command_continues(tmp_path):
    def terminate(epoch, batch):
        if (epoch, batch) == (1, 3):
            os.kill(os.getpid(), signal.SIGTERM)

    train(tmp_path / "whole", eval_every=1)
    before = signal.getsignal(signal.SIGTERM)
    task = ToyTask(on_batch=terminate)
    position = train(tmp_path / "stopped", task, eval_every=1)
    assert 6 < position.step < 12
    assert task.evaluations == position.step - 1
    assert signal.getsignal(signal.SIGTERM) is before
    assert train(tmp_path / "stopped", eval_every=1).step == 18
    assert_continued(tmp_path / "stopped")
    assert_equal(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))
    assert curve(tmp_path / "whole") == curve(tmp_path / "stopped")


def test_an_evaluation_put_off_by_sigterm_still_finds_the_best(tmp_path):
    def terminate(epoch, batch):
        if (epoch, batch) == (1, 3):
            os.kill(os.getpid(), signal.SIGTERM)

    class Lowest(ToyTask):
        """The loss is lowest at the step after which the run is stopped."""

        def evaluate(self, model, accelerator):
            return {"loss": float(abs(trainer.position.step - stopped.step))}

    stopped = train(tmp_path, ToyTask(on_batch=terminate), eval_every=1)
    expected = weights(tmp_path)
    trainer = make_trainer(tmp_path, Lowest(), eval_every=1)
    assert trainer.evaluator.overdue
    trainer.fit()
    assert (trainer.evaluator.best_loss, trainer.evaluator.best_step) == (0.0, stopped.step)
    assert_equal(expected, load_file(tmp_path / "best.safetensors"))


def test_evaluation_does_not_disturb_training(tmp_path):
    train(tmp_path / "often", eval_every=1)
    train(tmp_path / "never", eval_mode="none")
    assert_equal(weights(tmp_path / "often"), weights(tmp_path / "never"))


def test_a_finished_run_is_left_alone_and_can_be_prolonged(tmp_path):
    train(tmp_path)
    first = weights(tmp_path)
    assert train(tmp_path).step == 18
    assert_equal(first, weights(tmp_path))
    assert train(tmp_path, num_epochs=4).step == 24


def test_accumulated_batches_give_the_gradient_of_one_large_batch(tmp_path):
    """The toy's batches have 2, 3 and 4 samples: a plain mean over them would weigh the samples differently."""

    class Large(ToyTask):
        batches_in_one = 3

        def num_batches(self, epoch, world):
            return 2

        def batch(self, epoch, k):
            parts = [super(Large, self).batch(epoch, self.batches_in_one * k + j)[1] for j in range(3)]
            return "large", torch.cat(parts)

    options = {"num_epochs": 1, "eval_mode": "none", "gradient_clip": 0.0, "log_every": 1}
    train(tmp_path / "small", ToyTask(dropout=0.0), gradient_accumulation_steps=3, **options)
    train(tmp_path / "large", Large(dropout=0.0), **options)
    one, other = curve(tmp_path / "small"), curve(tmp_path / "large")
    for a, b in zip(one, other, strict=True):
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-5)
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)
        assert a["far"] == b["far"]


def test_loss_that_is_not_finite_stops_with_the_names(tmp_path):
    with pytest.raises(ValueError, match=r"not finite at step 9.*checkpoint-00000006"):
        train(tmp_path, ToyTask(bad_step=8))
    content = json.loads((tmp_path / "not-finite-step-00000009-process-0.json").read_text())
    assert content["batches"] == [{"loss": "nan", "samples": ["batch-1-2"]}]
    assert all(torch.isfinite(w).all() for w in weights(tmp_path).values())


def test_loss_that_explodes_stops_with_the_names(tmp_path, monkeypatch):
    monkeypatch.setattr(guards, "STEPS_TO_KNOW", 6)

    class Exploding(ToyTask):
        def batch(self, epoch, k):
            name, x = super().batch(epoch, k)
            return name, x * (1000 if (epoch, k) == (1, 2) else 1)

    with pytest.raises(ValueError, match=r"the loss exploded \(moving average .*at step 9.*checkpoint-00000006"):
        train(tmp_path / "stopped", Exploding())
    content = json.loads((tmp_path / "stopped" / "exploded-step-00000009-process-0.json").read_text())
    assert content["batches"][0]["samples"] == ["batch-1-2"]
    assert train(tmp_path / "goes-on", Exploding(), explosion=0.0).step == 18


def test_moving_average_of_the_weights(tmp_path):
    """It is evaluated, kept as best, continued over restarts, and does not touch the training."""
    seen = []

    class Watched(ToyTask):
        def evaluate(self, model, accelerator):
            seen.append({name: p.clone() for name, p in model.state_dict().items()})
            return {"loss": 1.0 / len(seen)}

    options = {"ema": 0.9, "save_every": 4, "eval_every": 6}
    train(tmp_path / "plain", eval_every=6)
    train(tmp_path / "whole", Watched(), **options)
    assert_equal(weights(tmp_path / "plain"), weights(tmp_path / "whole"))
    averaged = load_file(tmp_path / "whole" / "ema.safetensors")
    assert_equal(averaged, seen[-1])
    assert_equal(averaged, load_file(tmp_path / "whole" / "best.safetensors"))
    assert any(not torch.equal(averaged[name], value) for name, value in weights(tmp_path / "whole").items())
    with pytest.raises(KilledError):
        train(tmp_path / "killed", ToyTask(on_batch=killer(1, 4)), **options)
    train(tmp_path / "killed", Watched(), **options)
    assert_continued(tmp_path / "killed")
    assert_equal(averaged, load_file(tmp_path / "killed" / "ema.safetensors"))


def test_moving_average_is_the_formula():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    expected, ema = model.weight.detach().clone(), Ema(model, 0.75)
    for _ in range(3):
        with torch.no_grad():
            model.weight.normal_()
        ema.update()
        expected = 0.75 * expected + 0.25 * model.weight.detach()
    with ema.in_place():
        assert torch.allclose(model.weight, expected)
    assert not torch.allclose(model.weight, expected)


def test_max_steps_and_max_minutes_stop(tmp_path):
    assert train(tmp_path / "steps", max_steps=7).step == 7
    position = train(tmp_path / "minutes", max_minutes=0.5 / 60, num_epochs=100000, eval_mode="none")
    assert 0.5 <= position.seconds < 5
    assert 0 < position.step < 600000
    again = train(tmp_path / "minutes", max_minutes=0.5 / 60, num_epochs=100000, eval_mode="none")
    assert again.step == position.step, "the budget counts over restarts"


def test_learning_rate_ends_at_a_tenth_whatever_the_limit(tmp_path):
    train(tmp_path, max_steps=8, log_every=1, warmup_ratio=0.25)
    rates = [line["lr"] for line in curve(tmp_path) if line["split"] == "train"]
    assert rates[0] == pytest.approx(CONFIG.lr / 2)
    assert max(rates) == rates[1] == CONFIG.lr
    assert rates[-1] == pytest.approx(CONFIG.lr / 10)


def test_workspace_files(tmp_path):
    train(tmp_path, save_every=5)
    state = checkpoint.read_state(checkpoint.latest_checkpoint(tmp_path))
    assert set(state) == {"optimizer", "kinds", "scaler", "position", "window", "samples_per_batch"}
    assert set(state["position"]) == {
        *("step", "epoch", "batch", "seconds", "tokens"),
        *("best_loss", "best_step", "smooth_loss", "evaluation_due"),
    }
    assert [p.name for p in checkpoint.checkpoints(tmp_path)] == ["checkpoint-00000015", "checkpoint-00000018"]
    assert (tmp_path / "best.safetensors").exists()
    assert json.loads((tmp_path / "config.json").read_text())["task"] == "toy"
    assert list((tmp_path / "tensorboard").glob("events*"))
    assert (tmp_path / "pictures" / "square-00000006.png").exists()
    assert "test: loss" in (tmp_path / "log.txt").read_text()
    assert [p.name for p in tmp_path.glob(".*")] == [".lock"]


def test_a_continued_run_names_the_commit_that_began_it(tmp_path, monkeypatch):
    for commit, steps in (("a-dirty", 2), ("b", 4)):
        monkeypatch.setattr(checkpoint, "git_commit", lambda commit=commit: commit)
        train(tmp_path, max_steps=steps)
    for folder in (tmp_path, tmp_path / "checkpoint-00000004"):
        record = json.loads((folder / "config.json").read_text())
        assert (record["commit"], record["earlier_commits"]) == ("b", ["a-dirty"])


def test_best_is_the_lowest_evaluation_loss(tmp_path):
    class Worsening(ToyTask):
        def evaluate(self, model, accelerator):
            self.evaluations += 1
            return {"loss": [2.0, 1.0, 3.0][self.evaluations - 1]}

    trainer = make_trainer(tmp_path, Worsening())
    trainer.fit()
    assert (trainer.evaluator.best_loss, trainer.evaluator.best_step) == (1.0, 12)
    assert_equal(
        load_file(tmp_path / "best.safetensors"), load_file(tmp_path / "checkpoint-00000012/model.safetensors")
    )


def test_resume_starts_from_weights_and_a_run_of_its_own_takes_precedence(tmp_path):
    train(tmp_path / "one")
    position = train(tmp_path / "two", resume=str(tmp_path / "one"), num_epochs=1, lr=1e-9)
    assert position.step == 6
    for name, tensor in weights(tmp_path / "one").items():
        torch.testing.assert_close(weights(tmp_path / "two")[name], tensor, rtol=0, atol=1e-6)
    train(tmp_path / "two", resume=str(tmp_path / "nowhere"), num_epochs=2)


def test_continuing_with_another_model_names_the_parameters(tmp_path):
    train(tmp_path)
    with pytest.raises(ValueError, match=r"layers\.0\.weight \(file 8x4, model 16x4\)"):
        train(tmp_path, ToyTask(width=16))


def test_another_batch_size_continues_at_the_same_sample(tmp_path):
    class Sized(ToyTask):
        starts: tuple = ()

        def batches(self, epoch, start, rank, world):
            self.starts += ((epoch, start),)
            return super().batches(epoch, start, rank, world)

    train(tmp_path, Sized(), max_steps=4, batch_size=4)
    task = Sized()
    train(tmp_path, task, num_epochs=1, batch_size=8)
    assert task.starts == ((0, 2),)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "--batch_size 0"),
        ({"lr": float("nan")}, "--lr nan"),
        ({"warmup_ratio": 1.0}, "--warmup_ratio 1.0"),
        ({"ema": 1.0}, "--ema 1.0"),
        ({"max_minutes": -1.0}, "--max_minutes -1.0"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**options)


def test_workspace_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"--workspace .*file"):
        train(tmp_path / "file")


def test_full_disk_is_reported_before_training(tmp_path, monkeypatch):
    usage = checkpoint.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda path: usage._replace(free=2**21))
    task = ToyTask(on_batch=killer(0, 0))  # another error, were it to begin
    with pytest.raises(ValueError, match=r"checkpoints need about .* GiB, the disk has 0.00 GiB free"):
        train(tmp_path, task)


def test_a_disk_that_fills_up_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    save = checkpoint.save_file

    def full(tensors, path, metadata):
        if len(checkpoint.checkpoints(tmp_path)) == 1:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        save(tensors, path, metadata)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match=r"checkpoint of step 12 .*No space left"):
        train(tmp_path)
    assert [p.name for p in checkpoint.checkpoints(tmp_path)] == ["checkpoint-00000006"]
    assert not list(tmp_path.glob(".writing*"))


def test_grouped_and_with_last():
    assert list(grouped(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(with_last("abc")) == [("a", False), ("b", False), ("c", True)]
    assert list(with_last("")) == []
