"""Write procedural shapes as files: python -m core.data.shapes OUT --count 20 [--family mug chair] [--suffix .ply]"""

import argparse
import sys
from pathlib import Path

from core.data.mesh import save
from core.data.shapes import FAMILIES, make_shape


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m core.data.shapes", description="Write procedural shapes as files.")
    parser.add_argument("out", type=Path, help="folder, made if absent")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--start", type=int, default=0, help="index of the first shape")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--family", nargs="+", metavar="NAME", help=f"of: {', '.join(FAMILIES)}")
    parser.add_argument("--suffix", default=".obj", help="file format (default .obj)")
    args = parser.parse_args()
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        for index in range(args.start, args.start + args.count):
            mesh, family = make_shape(args.seed, index, args.family)
            save(args.out / f"{index:05d}_{family}{args.suffix}", mesh)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"{args.count} shapes in {args.out}")


if __name__ == "__main__":
    main()
