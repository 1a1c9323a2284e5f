"""The ArAE task on the smallest preset: its loss and evaluation, and a run continued bit for bit."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from safetensors.torch import load_file

from core.config import ARAE_NANO, with_overrides
from core.model.arae import ArAEOutput
from core.tokens import BOS, EOS, PAD
from core.training import evaluation, log
from core.training.arae_task import ArAETask
from core.training.trainer import Trainer

CONFIG = with_overrides(ARAE_NANO, num_shapes=60, testset_size=24, num_workers=0, threads=1, seed=3)


class KilledError(Exception):
    pass


def make_task(**options):
    config = with_overrides(CONFIG, **options)
    return ArAETask(config.tokenizer, config.model, config.data, config.train), config


@pytest.fixture
def task():
    made = make_task()[0]
    made.build_data()
    return made


def test_batches_are_a_function_of_epoch_and_position(task):
    whole = [batch.ids for batch in task.batches(1, 0, 0, 1)]
    assert len(whole) == task.num_batches(1, 1)
    assert all(torch.equal(a, b.ids) for a, b in zip(whole[3:], task.batches(1, 3, 0, 1), strict=True))
    assert not all(torch.equal(a, b.ids) for a, b in zip(whole, task.batches(2, 0, 0, 1), strict=False))


def test_loss_and_its_parts(task):
    torch.manual_seed(0)
    model = task.build_model().eval()
    batch = next(iter(task.batches(0, 0, 0, 1)))
    loss, metrics = task.loss(model, batch)
    encoded = model.encode(batch.points)
    condition = model.condition(encoded, batch.num_faces)
    logits = model.mesh_decoder.lm_head(model.mesh_decoder(condition, batch.ids))[:, condition.shape[1] : -1]
    nats = F.cross_entropy(logits.transpose(1, 2), batch.ids[:, 1:], ignore_index=PAD, reduction="sum").item()
    tokens = sum((row != PAD).sum().item() - 1 for row in batch.ids)
    assert task.weight(batch) == tokens
    assert loss.item() == pytest.approx(nats / tokens, rel=1e-5)
    assert metrics["nats_per_face"][0].item() == pytest.approx(nats, rel=1e-5)
    assert metrics["nats_per_face"][1] == batch.num_faces.sum()
    hits = (logits.argmax(-1) == batch.ids[:, 1:]) & (batch.ids[:, 1:] != PAD)
    assert metrics["token_accuracy"] == (hits.sum(), tokens)
    coordinate = batch.ids[:, 1:] >= 6
    assert metrics["accuracy_coordinates"] == ((hits & coordinate).sum(), coordinate.sum())
    assert metrics["accuracy_ops"] == ((hits & ~coordinate).sum(), tokens - coordinate.sum())
    assert metrics["padding_skipped"] == ((batch.ids == PAD).sum(), batch.ids.numel())


def test_evaluation_weighs_every_token_of_the_test_set_once(task):
    torch.manual_seed(0)
    model = task.build_model().eval()
    with torch.no_grad():
        metrics = task.evaluate(model, Accelerator(cpu=True))
        nats = tokens = faces = 0.0
        for k in range(len(task.test_set)):
            sample = task.test_set[k]
            ids = torch.tensor([[BOS, *sample.ids, 2]])
            output = model(ids, torch.tensor([sample.num_faces]), points=torch.tensor(sample.points)[None])
            nats += output.loss_ce.item() * len(output.labels)
            tokens, faces = tokens + len(output.labels), faces + sample.num_faces
    assert len(task.test_set) > 4
    assert metrics["loss"] == pytest.approx(nats / tokens, rel=1e-5)
    assert metrics["nats_per_face"] == pytest.approx(nats / faces, rel=1e-5)
    assert "padding_skipped" not in metrics


def test_generation_is_measured_and_drawn():
    task = make_task(eval_mode="generate")[0]
    task.build_data()
    torch.manual_seed(0)
    model = task.build_model().eval()
    with torch.no_grad():
        metrics = task.evaluate(model, Accelerator(cpu=True))
        (picture,) = task.pictures(model).values()
    assert 0 <= metrics["generated_finished"] <= 1
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert picture.std() > 0


@pytest.mark.parametrize("options", [{}, {"meto_backend": "CLERS"}, {"use_meto": False}])
def test_arg_max_meshes_are_whole(options):
    """Of logits that say nothing, or prefer an end: as many faces as the truth has."""
    task = make_task(**options)[0]
    task.build_data()
    batch = next(iter(task.batches(0, 0, 0, 1)))
    torch.manual_seed(0)
    labels = batch.ids[:, 1:][batch.ids[:, 1:] != PAD]
    logits = torch.randn(len(labels), task.tokenizer.vocab_size)
    logits[:, EOS] = 100.0
    lengths = ((batch.ids != PAD).sum(1) - 1).tolist()
    taken = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "_mesh", lambda ids, _: taken.append(ids))
        evaluation.argmax_meshes(_output(logits, labels), batch, task.tokenizer)
    assert [len(ids) for ids in taken] == lengths
    for ids in taken:
        assert task.tokenizer.grammar.validate(ids) is None
        assert (ids == EOS).sum() == 1
    certain = torch.nn.functional.one_hot(labels, task.tokenizer.vocab_size).float()
    for mesh, truth in zip(
        evaluation.argmax_meshes(_output(certain, labels), batch, task.tokenizer),
        evaluation.true_meshes(batch, task.tokenizer),
        strict=True,
    ):
        assert np.array_equal(mesh.faces, truth.faces)


def _output(logits, labels):
    zero = torch.zeros(())
    return ArAEOutput(zero, zero, zero, labels, logits)


def test_what_does_not_fit_is_refused_with_what_would(tmp_path, monkeypatch, caplog):
    options = {"workspace": str(tmp_path), "batch_size": 16, "num_epochs": 1, "max_steps": 1, "eval_mode": "none"}
    task, config = make_task(**options)
    need, less = (task.with_options(**more).memory(1, False).total for more in ({}, {"checkpointing": True}))
    assert less < need
    monkeypatch.setattr(log, "free_memory", lambda device: (less + need) / 2)
    with pytest.raises(ValueError, match="What would fit: --batch_size 16 --checkpointing;.*--ignore_memory_check"):
        Trainer(config.train, task).fit()
    monkeypatch.setattr(log, "free_memory", lambda device: 1.0)
    with pytest.raises(ValueError, match="more processes with --shard would take less"):
        Trainer(config.train, task).fit()
    task, config = make_task(**options, ignore_memory_check=True)
    assert Trainer(config.train, task).fit().step == 1


def test_checkpointing_reaches_the_model():
    assert make_task(checkpointing=True)[0].build_model().mesh_decoder.model.checkpointing
    assert not make_task(checkpointing=False)[0].build_model().mesh_decoder.model.checkpointing


def test_a_condition_without_data():
    with pytest.raises(ValueError, match="--cond_mode image"):
        make_task(cond_mode="image", num_cond_tokens=257)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_killed_run_continues_bit_for_bit_with_any_number_of_workers(tmp_path, optimizer):
    options = {"num_epochs": 2, "save_every": 3, "log_every": 1, "dropout": 0.1, "optimizer": optimizer}

    def train(name, task_class=ArAETask, **more):
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
        config = with_overrides(CONFIG, workspace=str(tmp_path / name), **{**options, **more})
        task = task_class(config.tokenizer, config.model, config.data, config.train)
        return Trainer(config.train, task).fit()

    class Killed(ArAETask):
        left = 8

        def loss(self, model, batch):
            Killed.left -= model.training
            if Killed.left == 0:
                raise KilledError
            return super().loss(model, batch)

    whole = train("whole")
    with pytest.raises(KilledError):
        train("killed", Killed, num_workers=2)
    assert whole.step - 7 > 0, "it was killed before its end"
    train("killed", num_workers=1)
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    curves = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("whole", "killed")]
    for a, b in zip(*([json.loads(line) for line in curve] for curve in curves), strict=True):
        assert a.keys() == b.keys()
        assert all(a[name] == b[name] for name in a if name not in ("tokens_per_second", "mfu"))
        assert a["split"] == "test" or 0 < a["mfu"] < 1
    if optimizer == "muon":
        with pytest.raises(ValueError, match="checkpoint is of Muon and AdamW, and --optimizer now asks for AdamW"):
            train("killed", **{"optimizer": "adamw", "num_epochs": 3})
