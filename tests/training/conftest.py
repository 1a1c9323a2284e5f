import logging
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # toy.py


@pytest.fixture(autouse=True)
def _one_trainer_after_another():
    """accelerate keeps one state a process: every test starts without it. One thread: two collapse on busy cores."""
    from accelerate.state import AcceleratorState, GradientState

    torch.set_num_threads(1)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    logger = logging.getLogger("core")
    logger.propagate = True  # for caplog
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
