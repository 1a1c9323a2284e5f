"""A task of seconds for the tests of the loop: a small network with dropout learns a random linear map."""

import time

import torch
from torch import Tensor, nn

from core.training.task import TrainingTask


class Net(nn.Module):
    def __init__(self, width: int = 8, dropout: float = 0.1):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class ToyTask(TrainingTask):
    """Batches of different sizes, so that means over batches have to be weighted."""

    name = "toy"

    def __init__(self, batches_per_epoch=6, *, bad_step=-1, on_batch=None, width=8, dropout=0.1, pause=0.0):
        self.batches_per_epoch, self.bad_step, self.on_batch = batches_per_epoch, bad_step, on_batch
        self.width, self.dropout, self.pause = width, dropout, pause
        self.evaluations = 0

    def build_model(self):
        return Net(self.width, self.dropout)

    def describe(self):
        return [("data", "random numbers")]

    def num_batches(self, epoch, world):
        return self.batches_per_epoch // world

    def batches(self, epoch, start, rank, world):
        for k in range(start, self.num_batches(epoch, world)):
            yield self.batch(epoch, k * world + rank)

    def batch(self, epoch, k):
        if self.on_batch:
            self.on_batch(epoch, k)
        time.sleep(self.pause)
        rng = torch.Generator().manual_seed(1000 * epoch + k)
        x = torch.randn(2 + k % 3, 4, generator=rng)
        if epoch * self.batches_per_epoch + k == self.bad_step:
            x[0, 0] = torch.nan
        return f"batch-{epoch}-{k}", x

    def to(self, batch, device):
        return batch[0], batch[1].to(device)

    def weight(self, batch):
        return float(len(batch[1]))

    def names(self, batch):
        return [batch[0]]

    def loss(self, model, batch):
        x = batch[1]
        error = (model(x) - x[:, :2] * 3 + 1).square().sum(1)
        return error.mean(), {"far": ((error > 1).sum(), len(x))}

    def evaluate(self, model, accelerator):
        self.evaluations += 1
        loss = self.loss(model, self.batch(-1, 2))[0]
        return {"loss": loss.item(), "random": torch.rand(()).item()}

    def pictures(self, model):
        return {"square": torch.zeros(8, 8, 3, dtype=torch.uint8).numpy()}
