"""Make a training set of any pile of 3D files: cleaned, judged by rules, without duplicates, in Parquet shards.

    python prepare.py meshes/ sets/mine                     # a folder tree of obj, glb, gltf, ply, stl, off, dae, 3mf
    python prepare.py shapes:10000 sets/shapes --views 4    # procedural shapes, with pictures for the image model
    python main.py ArAE-tiny --data sets/mine --workspace workspace_train

The same command continues a run that was stopped, and adds files that have come since.
"""

import logging
import sys

from core import cli
from core.data.prepare.options import PrepareConfig


def main() -> int:
    import tyro

    config = tyro.cli(
        PrepareConfig,
        description=__doc__,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.HelptextFromCommentsOff),
        use_underscores=True,
    )
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    from core.data.prepare.run import prepare

    prepare(config)
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
