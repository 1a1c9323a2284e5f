"""What the commands share: errors as one line instead of a traceback, threads, options that must be given."""

import os
import sys
from collections.abc import Callable

PRIMITIVES_KEPT = "64"


def run(main: Callable[[], int | None]) -> int:
    """Exit code of a command's main function (None is 0).

    A ValueError or an OSError is something that the user can put right: one line on stderr and exit code 1.
    Ctrl-C gives 130, as shells expect.
    """
    try:
        return main() or 0
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        return 141
    except (ValueError, OSError) as error:
        rank = os.environ.get("RANK", "0")
        print(f"{'' if rank == '0' else f'[process {rank}] '}error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def require(value: object, flag: str, what: str) -> None:
    """Refuse to start without an option that the command cannot do without.

    Raises:
        ValueError: the value is empty.
    """
    if not value:
        raise ValueError(f"{flag} is needed: {what}")


def use_threads(threads: int) -> int:
    """Set the number of threads that torch computes with on the CPU, and return it.

    Args:
        threads: 0 is OMP_NUM_THREADS where the user set it, else this process's share of the cores less one: loading
            data takes a core, and torch's threads collapse when they have to share theirs (two threads on two busy
            cores are 5 to 25 times slower than one).
    """
    import torch

    # oneDNN keeps a primitive for every shape it has met, 1024 of them: with batches of ever new lengths a process on
    # the CPU grows by gigabytes. A small cache is no slower. (It reads these before its first product.)
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, PRIMITIVES_KEPT)
    if threads <= 0:
        asked = int(os.environ.get("OMP_NUM_THREADS", "0") or 0)
        # Launchers set it to 1 where nobody has asked for anything.
        launched = "LOCAL_RANK" in os.environ or "ACCELERATE_MIXED_PRECISION" in os.environ
        share = usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        threads = max(1, share - 1) if asked == 0 or (asked == 1 and launched) else asked
    torch.set_num_threads(threads)
    return threads


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
