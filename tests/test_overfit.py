"""The whole chain on four meshes: the smallest preset learns them by heart, and generates exactly their faces."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState, GradientState

from core.config import ARAE_NANO, ARAE_NANO_FACE, with_overrides
from core.data.dataset import MeshDataset
from core.data.finish import finish_counting
from core.data.shapes import make_shape
from core.data.sources import PackedMeshes
from core.inference.generator import MeshGenerator
from core.model.arae import ArAE
from core.model.face_decoder import FaceDecoder
from core.training.arae_task import ArAETask
from core.training.trainer import Trainer
from core.training.weights import load_weights

FAMILIES = ("table", "chair", "lamp", "house")
OPTIONS = {
    "num_epochs": 100000,
    "max_steps": 400,
    "lr": 3e-3,
    "mixed_precision": "no",
    "num_workers": 0,
    "eval_mode": "none",
    "save_minutes": 0.0,
    "save_every": 400,
    "generate_mode": "greedy",
}


class FourMeshes(ArAETask):
    """The same four meshes in training and test, without augmentation."""

    def build_datasets(self):
        points, longest = self.config.point_encoder.point_num, self.config.decoder.max_seq_length
        # As the task itself does it: the face decoder's steps come with the samples.
        steps = self.config.steps if self.config.decoder.decoder == "face" else None
        sizes = {"point_num": points, "max_seq_length": longest, "steps": steps}
        meshes = four_meshes(self.data.max_face_length)
        dataset = MeshDataset(meshes, self.tokenizer, self.data, train=False, **sizes)
        return dataset, dataset


def four_meshes(most_faces):
    """The first mesh of each family that is small enough."""
    made = []
    for family in FAMILIES:
        candidates = (make_shape(seed=1, index=k, families=[family])[0] for k in range(1000))
        made.append(next(mesh for mesh in candidates if len(mesh.faces) <= most_faces))
    return PackedMeshes(made, list(FAMILIES))


@pytest.fixture(autouse=True)
def _alone():
    """One thread, and no state of accelerate left for other tests."""
    torch.set_num_threads(1)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


@pytest.mark.parametrize("preset", [ARAE_NANO, ARAE_NANO_FACE], ids=["token", "face"])
def test_four_meshes_are_memorised_and_generated_exactly(preset, tmp_path: Path, monkeypatch):
    begun = time.process_time()  # others may keep the cores busy
    # No batch hides its points: for those, other steps than the samples' are made.
    config = with_overrides(preset, **OPTIONS, workspace=str(tmp_path), points_dropout=0.0)
    task = FourMeshes(config.tokenizer, config.model, config.data, config.train)
    task.build_data()
    assert (task.train_set[0].steps is not None) == (config.model.decoder.decoder == "face")
    if config.model.decoder.decoder == "face":  # training takes the steps that the samples bring
        monkeypatch.setattr(FaceDecoder, "make_steps", None)
    Trainer(config.train, task).fit()
    monkeypatch.undo()

    model = ArAE(config.model, task.tokenizer.vocab_size)
    load_weights(model, tmp_path, strict=True)
    generator = MeshGenerator(model, task.tokenizer, torch.device("cpu"))
    samples = [task.train_set[k] for k in range(4)]
    points = np.stack([sample.points for sample in samples])
    results = generator.generate(points, [sample.num_faces for sample in samples], range(4), config.test)
    for sample, result in zip(samples, results, strict=True):
        assert result.finished, sample.name
        assert result.ids.tolist() == sample.ids.tolist(), sample.name
        decoded, step = type(result.mesh)(*task.tokenizer.decode(sample.ids)), 2 / config.tokenizer.discrete_bins
        vertices, faces = finish_counting(decoded, config.test.finish, sample.points, step).mesh
        np.testing.assert_array_equal(result.mesh.vertices, vertices)
        np.testing.assert_array_equal(result.mesh.faces, faces)
    assert time.process_time() - begun < 180
