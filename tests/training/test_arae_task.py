"""The ArAE task on the smallest preset: its loss and evaluation, and a run continued bit for bit."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from safetensors.torch import load_file

from core.config import ARAE_NANO, ARAE_NANO_FACE, with_overrides
from core.groups import batch_steps, map_steps
from core.model import decoder as token_decoder
from core.model import face_decoder
from core.model.arae import ArAEOutput
from core.model.face_decoder import FaceDecoder
from core.model.point_decoder import cloud_distance
from core.tokens import BOS, EOS, PAD
from core.training import evaluation, log
from core.training.arae_task import ArAETask
from core.training.trainer import Trainer

SMALL = {"num_shapes": 60, "testset_size": 22, "num_workers": 0, "threads": 1, "seed": 3}
CONFIGS = {"token": with_overrides(ARAE_NANO, **SMALL), "face": with_overrides(ARAE_NANO_FACE, **SMALL)}


class KilledError(Exception):
    pass


def make_task(decoder="token", **options):
    config = with_overrides(CONFIGS[decoder], **options)
    return ArAETask(config.tokenizer, config.model, config.data, config.train), config


@pytest.fixture(scope="module")
def tasks():
    made = {name: make_task(name)[0] for name in CONFIGS}
    for task in made.values():
        task.build_data()
    return made


@pytest.fixture(params=["token", "face"])
def task(request, tasks):
    return tasks[request.param]


def equal_batches(a, b):
    tensors = [(a.ids, b.ids), (a.points, b.points), (a.num_faces, b.num_faces)]
    if a.steps is not None:
        map_steps(lambda x, y: tensors.append((x, y)), a.steps, b.steps)
    return all(torch.equal(x, y) for x, y in tensors)


def test_batches_are_a_function_of_epoch_and_position(task):
    whole = list(task.batches(1, 0, 0, 1))
    assert len(whole) == task.num_batches(1, 1)
    assert all((batch.steps is not None) == (task.config.decoder.decoder == "face") for batch in whole)
    assert all(equal_batches(a, b) for a, b in zip(whole[3:], task.batches(1, 3, 0, 1), strict=True))
    assert not any(equal_batches(a, b) for a, b in zip(whole, task.batches(2, 0, 0, 1), strict=False))


def test_loss_and_its_parts(tasks):
    task = tasks["token"]
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
    penalty = model.config.point_encoder.kl_weight * 0.5 * encoded.square().sum().item()
    assert loss.item() == pytest.approx(nats / tokens + penalty, rel=1e-5)
    assert metrics["nats_per_face"][0].item() == pytest.approx(nats, rel=1e-5)
    assert metrics["nats_per_face"][1] == batch.num_faces.sum()
    hits = (logits.argmax(-1) == batch.ids[:, 1:]) & (batch.ids[:, 1:] != PAD)
    assert metrics["token_accuracy"] == (hits.sum(), tokens)
    coordinate = batch.ids[:, 1:] >= 6
    assert metrics["accuracy_coordinates"] == ((hits & coordinate).sum(), coordinate.sum())
    assert metrics["accuracy_ops"] == ((hits & ~coordinate).sum(), tokens - coordinate.sum())
    assert metrics["padding_skipped"] == ((batch.ids == PAD).sum(), batch.ids.numel())


def test_loss_and_its_parts_of_the_face_decoder(tasks, monkeypatch):
    """Against meshes one by one, whose steps are made here; the batch's are the loader's."""
    task = tasks["face"]
    torch.manual_seed(0)
    model = task.build_model().eval()
    batch = next(iter(task.batches(0, 0, 0, 1)))
    steps = task.config.steps
    nats, kinds, coordinates = 0.0, [], []
    encoded = model.encode(batch.points)
    condition = model.condition(encoded, batch.num_faces)
    for k, row in enumerate(batch.ids):
        ids, points = row[None, : int((row != PAD).sum())], batch.points[k : k + 1]
        one = model.mesh_decoder(condition[k : k + 1], batch_steps(ids, points, steps, 64), points)
        nats += one.nats.item()
        kinds.append(one.kind_hit)
        coordinates.append(one.vertex_hit)
    kinds, coordinates = torch.cat(kinds), torch.cat(coordinates)
    tokens = task.weight(batch)
    assert tokens == sum((row != PAD).sum().item() - 1 for row in batch.ids)
    penalty = model.config.point_encoder.kl_weight * 0.5 * encoded.square().sum().item()
    distance = model.config.points_weight * cloud_distance(model.decoded_surface(encoded), batch.points).item()
    assert distance > 0.01
    monkeypatch.setattr(FaceDecoder, "make_steps", None)  # the loader has made them
    loss, metrics = task.loss(model, batch)
    assert loss.item() == pytest.approx(nats / tokens + penalty + distance, rel=1e-5)
    assert metrics["loss_ce"][0].item() == pytest.approx(nats, rel=1e-5)
    assert metrics["nats_per_face"][1] == batch.num_faces.sum()
    assert metrics["accuracy_ops"] == (kinds.sum(), len(kinds))
    assert metrics["accuracy_coordinates"] == (coordinates.sum(), coordinates.numel())
    both = kinds.sum() + coordinates.sum(), len(kinds) + coordinates.numel()
    assert metrics["token_accuracy"] == both


def test_evaluation_weighs_every_token_of_the_test_set_once(task):
    """Each mesh by itself, the face decoder's steps made by the model: the loader's are the same."""
    torch.manual_seed(0)
    model = task.build_model().eval()
    with torch.no_grad():
        metrics = task.evaluate(model, Accelerator(cpu=True))
        nats = tokens = faces = 0.0
        for k in range(len(task.test_set)):
            sample = task.test_set[k]
            ids = torch.tensor([[BOS, *sample.ids, EOS]])
            output = model(ids, torch.tensor([sample.num_faces]), points=torch.tensor(sample.points)[None])
            nats += output.loss_ce.item() * len(output.labels)
            tokens, faces = tokens + len(output.labels), faces + sample.num_faces
    assert len(task.test_set) > 4
    assert len(task.test_set) % task.train.batch_size, "the last batch is a smaller one"
    assert metrics["loss_ce"] == pytest.approx(nats / tokens, rel=1e-5)
    assert metrics["nats_per_face"] == pytest.approx(nats / faces, rel=1e-5)
    assert metrics["loss"] > metrics["loss_ce"]
    assert "padding_skipped" not in metrics


@pytest.mark.parametrize("decoder", CONFIGS)
def test_generation_is_measured_and_drawn(decoder, monkeypatch):
    """First as if every mesh but the first two were generated as it is; then what the model makes."""
    task = make_task(decoder, eval_mode="generate", testset_size=6)[0]
    task.build_data()
    torch.manual_seed(0)
    model = task.build_model().eval()
    seen = []

    def as_they_are(_model, batch, tokenizer):
        seen.extend(batch.names)
        ends = [len(seen) > 4] * len(batch)
        return list(map(evaluation.GeneratedMesh, evaluation.true_meshes(batch, tokenizer), ends))

    with torch.no_grad():
        with monkeypatch.context() as patch:
            patch.setattr(evaluation, "generated_meshes", as_they_are)
            metrics = task.evaluate(model, Accelerator(cpu=True))
        assert sorted(seen) == sorted(task.test_set[k].name for k in range(6))
        assert metrics["generated_finished"] == pytest.approx(2 / 6)
        assert metrics["generated_faces_ratio"] == 1
        assert metrics["generated_chamfer"] == 0
        (picture,) = task.pictures(model).values()
        batch = next(iter(task._test_batches(0, 1)))
        made = evaluation.generated_meshes(model, batch, task.tokenizer)
        compared = evaluation.compare(made, evaluation.true_meshes(batch, task.tokenizer))
    assert len(made) == len(batch)
    assert all(len(each.mesh.faces) for each in made)
    assert compared["generated_chamfer"][0] > 0.01 * len(batch), "random weights generate other meshes"
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert picture.std() > 0


def test_arg_max_meshes_of_the_face_decoder_are_whole(tasks):
    """Likeliest groups, each in the place of the true one; where all are right, they say the true mesh."""
    task = tasks["face"]
    torch.manual_seed(0)
    model = task.build_model().eval()
    batch = next(iter(task.batches(0, 0, 0, 1)))
    with torch.no_grad():
        output = model(batch.ids, batch.num_faces, points=batch.points, steps=batch.steps, predict=True)
    taken = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "_mesh", lambda ids, _: taken.append(ids))
        evaluation.argmax_meshes(output, batch, task.tokenizer)
    assert [len(ids) for ids in taken] == [int((row != PAD).sum()) - 2 for row in batch.ids]
    assert all(task.tokenizer.grammar.validate(np.append(ids, EOS)) is None for ids in taken)
    right = output._replace(groups=output.groups._replace(predicted=batch.steps.groups))
    for mesh, truth in zip(
        evaluation.argmax_meshes(right, batch, task.tokenizer),
        evaluation.true_meshes(batch, task.tokenizer),
        strict=True,
    ):
        assert np.array_equal(mesh.vertices, truth.vertices)
        assert np.array_equal(mesh.faces, truth.faces)


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


@pytest.mark.parametrize(("decoder", "module"), [("token", token_decoder), ("face", face_decoder)])
def test_checkpointing_reaches_the_layers(decoder, module, monkeypatch, tasks):
    calls, checkpoint = [], module.checkpoint
    monkeypatch.setattr(module, "checkpoint", lambda *args, **more: calls.append(1) or checkpoint(*args, **more))
    batch = next(iter(tasks[decoder].batches(0, 0, 0, 1)))
    for on in (True, False):
        calls.clear()
        task = make_task(decoder, checkpointing=on)[0]
        task.loss(task.build_model().train(), batch)
        assert len(calls) == on * task.config.decoder.num_layers


def test_a_condition_without_data():
    with pytest.raises(ValueError, match="--cond_mode image"):
        make_task(cond_mode="image", num_cond_tokens=257)


@pytest.mark.parametrize(("decoder", "optimizer"), [("token", "adamw"), ("face", "muon")])
def test_a_killed_run_continues_bit_for_bit_with_any_number_of_workers(tmp_path, decoder, optimizer):
    options = {"num_epochs": 2, "save_every": 3, "log_every": 1, "dropout": 0.1, "optimizer": optimizer}

    def train(name, task_class=ArAETask, **more):
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
        config = with_overrides(CONFIGS[decoder], workspace=str(tmp_path / name), **{**options, **more})
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
    assert "continues checkpoint-00000006" in (tmp_path / "killed" / "log.txt").read_text()
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
