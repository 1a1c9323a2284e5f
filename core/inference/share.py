"""Several processes on one job: which inputs are whose, and waiting for each other.

The processes share nothing but the folder of results: RANK and WORLD_SIZE in the environment say who a process is,
whoever set them (accelerate, torchrun, or the user for the parts of an array job that run one after another).
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

log = logging.getLogger(__name__)
Item = TypeVar("Item")
SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True)
class Share:
    """This process among those of the run."""

    rank: int = 0
    world: int = 1

    @classmethod
    def of_environment(cls) -> "Share":
        """From RANK and WORLD_SIZE; without them the process is alone.

        Raises:
            ValueError: naming values that are not a place among so many.
        """
        rank, world = os.environ.get("RANK"), os.environ.get("WORLD_SIZE")
        if rank is None and world is None:
            return cls()
        if not (rank and world and rank.isdecimal() and world.isdecimal() and int(rank) < int(world)):
            raise ValueError(
                f"RANK={rank} and WORLD_SIZE={world} in the environment: 0 <= RANK < WORLD_SIZE is needed, or neither"
            )
        return cls(int(rank), int(world))

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Every `world`-th item, from the `rank`-th on: neighbours, which are often alike, are dealt out."""
        return items[self.rank :: self.world]

    @property
    def is_launched(self) -> bool:
        """The processes run at the same time, under a launcher that ends all of them when one fails."""
        return self.world > 1 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"

    def wait_for_others(self, point: str, should_stop: Callable[[], bool]) -> None:
        """Return when every process has come to the `point`, or it is time to stop; at once without a launcher.

        The launcher's own store keeps count, so nothing of an earlier run can be taken for this one's.
        """
        if not self.is_launched:
            return
        from torch.distributed import DistError, TCPStore

        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        key = f"core.inference/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{point}"
        try:
            store = TCPStore(host, port, is_master=False, timeout=timedelta(minutes=1))
            store.add(key, 1)
            while store.add(key, 0) < self.world and not should_stop():
                time.sleep(SECONDS_BETWEEN_LOOKS)
        except DistError as error:  # the launcher has gone, and with it the reason to wait
            log.warning("not waiting for the other processes: %s", str(error).splitlines()[0])
