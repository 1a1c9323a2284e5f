"""The arrows of the design: who may import whom, read from the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# For each part, what it may import of the project besides itself.
ALLOWED = {
    "core.tokens": {"meto"},
    "core.groups": {"core.tokens", "meto"},
    "core.kernels": {"meto"},
    "core.model": {"core.kernels", "core.groups", "core.tokens", "meto"},
    "core.generation": {"core.model", "core.kernels", "core.groups", "core.tokens", "meto"},
    "core.geometry": {"core.tokens", "meto"},
    "core.data": {"core.geometry", "core.groups", "core.tokens", "meto"},
    "core.inference": {"core.generation", "core.model", "core.data", "core.geometry", "core.groups", "core.tokens"},
    "core.evaluation": {"core.data", "core.geometry", "core.inference"},
    "core.training": {
        *{"core.generation", "core.model", "core.data", "core.groups", "core.tokens", "core.inference", "core.cli"}
    },
    "core.config": {
        *{"core.groups", "core.tokens", "core.generation", "core.model", "core.data", "core.training", "core.inference"}
    },
    "core.cli": set(),
}
TRACKERS = {"tensorboard", "wandb", "accelerate"}
# Slow or optional packages: only inside the functions that need them.
LAZY = {"transformers", "diffusers", "trimesh", "moderngl", "fast_simplification", "accelerate", "wandb", "tensorboard"}
LAZY |= {"DracoPy", "meshopt", "pi_heif", "manifold3d", "pyinstantmeshes"}
LAZY |= {"datasets", "pyarrow", "fsspec", "ray", "objaverse"}


def modules() -> dict[str, Path]:
    files = sorted((ROOT / "core").rglob("*.py"))
    return {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def imports(file: Path, top_level_only: bool = False) -> set[str]:
    """Full names of the modules that a file imports, in functions and for type checkers too unless left out."""
    found: set[str] = set()
    stack: list[ast.AST] = [ast.parse(file.read_text())]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if not (top_level_only and is_function):
            stack.extend(ast.iter_child_nodes(node))
    return found


def part_of(module: str) -> str | None:
    """The part of the project that a module belongs to; None for other packages."""
    if module.split(".")[0] == "meto":
        return "meto"
    return next((part for part in ALLOWED if module == part or module.startswith(part + ".")), None)


@pytest.mark.parametrize("module", modules())
def test_imports_flow_one_way(module):
    if module == "core":
        return
    own = part_of(module)
    assert own is not None, f"{module} belongs to no part of the layout"
    used = {part_of(name) for name in imports(modules()[module])} - {None, own}
    assert used <= ALLOWED[own], f"{module} imports {sorted(used - ALLOWED[own])}"


@pytest.mark.parametrize("module", modules())
def test_only_training_knows_accelerate_and_trackers(module):
    if part_of(module) != "core.training":
        assert not {name.split(".")[0] for name in imports(modules()[module])} & TRACKERS


@pytest.mark.parametrize("module", modules())
def test_the_model_knows_no_mesh_library(module):
    if part_of(module) == "core.model":
        assert not {name.split(".")[0] for name in imports(modules()[module])} & {"trimesh", "fast_simplification"}


@pytest.mark.parametrize("module", modules())
def test_slow_packages_are_imported_where_they_are_used(module):
    top = {name.split(".")[0] for name in imports(modules()[module], top_level_only=True)}
    assert not top & LAZY


def test_meto_folder_does_not_shadow_the_package():
    assert not (ROOT / "meto" / "__init__.py").exists()


def test_no_file_imports_itself_by_way_of_others():
    """Imports inside of functions and for type checkers count, for they hide such circles."""
    files = modules()
    imported = {name: {other for other in imports(file) if other in files} - {name} for name, file in files.items()}
    # A package imports its own files to offer them; what they import is what counts.
    imported = {name: {o for o in others if not o.startswith(name + ".")} for name, others in imported.items()}
    finished: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle: {' -> '.join((*path[path.index(name) :], name))}"
        if name not in finished:
            for other in sorted(imported[name]):
                visit(other, (*path, name))
            finished.add(name)

    for name in files:
        visit(name, ())


@pytest.mark.parametrize("part", ["core.kernels", "core.model", "core.generation"])
def test_no_import_of_the_project_hides_in_a_function(part):
    for name, file in modules().items():
        if part_of(name) == part:
            hidden = {other.split(".")[0] for other in imports(file) - imports(file, top_level_only=True)}
            assert not hidden & {"core", "meto"}, name
            assert "TYPE_CHECKING" not in file.read_text(), name
