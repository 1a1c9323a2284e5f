"""Commands of the documentation, understood without being carried out: by the parsers of the programs they name."""

import argparse
import contextlib
import functools
import importlib
import importlib.util
import io
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

from core.config import PRESETS, parse_cli
from tests.doc_pages import ROOT

VARIABLE = re.compile(r"\$\(\([^)]*\)\)|\$\{?\w+\}?")


class ParsedError(BaseException):
    """A script's command line has been parsed: nothing of the script is to run after this."""

    def __init__(self, value: Any):
        super().__init__()
        self.value = value


def check(command: str) -> None:
    """Refuse a command of the shell that names a script, option, preset, target or test that is not there.

    Raises:
        ValueError: what is wrong with it.
    """
    words = shlex.split(VARIABLE.sub("1", command), comments=True)
    while re.match(r"\w+=", words[0]):  # settings of the environment
        words = words[1:]
    check_words(words[:-1] if words[-1] == "..." else words)


def check_words(words: list[str]) -> None:
    program, arguments = words[0], words[1:]
    if program == "srun":
        check(arguments[2]) if arguments[:2] == ["bash", "-c"] else check_words(arguments)
    elif program == "docker":
        first = next(k for k, word in enumerate(arguments) if word.endswith(".py"))
        check_python(arguments[first:])
    elif program == "make":
        check_make(arguments)
    elif program == "pytest":
        check_pytest(arguments)
    elif program in ("accelerate", "torchrun"):
        check_launcher(program, arguments)
    elif program == "python":
        check_python(arguments)
    else:
        raise ValueError(f"{program}: not a program that these tests know")


def check_make(arguments: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    if unknown := [word for word in arguments if "=" not in word and word not in targets]:
        raise ValueError(f"make {' '.join(unknown)}: no such target")


def check_pytest(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="pytest", exit_on_error=False)
    parser.add_argument("path", type=Path)
    parser.add_argument("-k", default="")
    options = parsed(lambda: parser.parse_args(arguments), "pytest")
    path = ROOT / options.path
    if not path.exists():
        raise ValueError(f"pytest {options.path}: no such file")
    if options.k and options.k not in path.read_text():
        raise ValueError(f"pytest {options.path} -k {options.k}: no such test")


def check_launcher(program: str, arguments: list[str]) -> None:
    if program == "torchrun":
        from torch.distributed.run import get_args_parser

        options = parsed(lambda: get_args_parser().parse_args(arguments), program)
    else:
        from accelerate.commands.launch import launch_command_parser

        if arguments[0] != "launch":
            raise ValueError(f"accelerate {arguments[0]}: only launch is known here")
        options = parsed(lambda: launch_command_parser().parse_args(arguments[1:]), program)
        if options.config_file and not (ROOT / options.config_file).exists():
            raise ValueError(f"--config_file {options.config_file}: no such file")
    check_python([options.training_script, *options.training_script_args])


def check_python(arguments: list[str]) -> None:
    if arguments[0] != "-m":
        check_script(script(arguments[0]), arguments[1:])
    elif arguments[1] == "meto":
        from meto.cli import parser

        parsed(lambda: parser().parse_args(arguments[2:]), "meto")
    elif arguments[1] == "pytest":
        check_pytest(arguments[2:])
    elif (spec := importlib.util.find_spec(arguments[1])) is None:
        raise ValueError(f"python -m {arguments[1]}: no such module")
    else:
        program = f"{arguments[1]}.__main__" if spec.submodule_search_locations else arguments[1]
        check_script(importlib.import_module(program), arguments[2:])


@functools.cache
def script(name: str) -> ModuleType:
    """A script of the repository as a module. Raises ValueError where there is none."""
    if not (ROOT / name).is_file():
        raise ValueError(f"{name}: no such script")
    spec = importlib.util.spec_from_file_location(f"documented_{Path(name).stem}", ROOT / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for the names of annotations
    # A benchmark removes its own folder, which is a script's first, from the path.
    with patch.object(sys, "path", [str((ROOT / name).parent), *sys.path]):
        spec.loader.exec_module(module)
    return module


def check_script(module: ModuleType, arguments: list[str]) -> None:
    """Run a script's main up to the end of its parsing."""
    name = Path(module.__file__ or "").name
    with contextlib.ExitStack() as patches:
        patches.enter_context(patch.object(sys, "argv", [name, *arguments]))
        if hasattr(module, "parse_cli"):
            patches.enter_context(patch.object(module, "parse_cli", stopping(parse_cli)))
        elif hasattr(module, "argparse"):
            original = argparse.ArgumentParser.parse_args
            patches.enter_context(patch.object(argparse.ArgumentParser, "parse_args", stopping(original)))
        else:
            import tyro

            patches.enter_context(patch.object(tyro, "cli", stopping(tyro.cli)))
        options = parsed(module.main, name)
    if isinstance(options, tuple) and name == "evaluate.py":  # what it does not know is for infer.py
        config, others = options
        if config.generated in PRESETS:
            parsed(lambda: parse_cli("", [config.generated, *others]), "infer.py")
        elif others:
            raise ValueError(f"evaluate.py: no such options: {' '.join(others)}")


def stopping(parse: Callable) -> Callable:
    """A parser that ends the script with what it has read."""

    def parse_and_stop(*arguments, **options):
        raise ParsedError(parse(*arguments, **options))

    return parse_and_stop


def parsed(parse: Callable[[], Any], name: str) -> Any:
    """What a parser makes of its words; its complaint as a ValueError."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint), contextlib.redirect_stdout(complaint):
            return parse()
    except ParsedError as done:
        return done.value
    except argparse.ArgumentError as error:
        raise ValueError(f"{name}: {error}") from None
    except SystemExit as end:
        if end.code:
            raise ValueError(f"{name}: {complaint.getvalue()}") from None
        return None  # --help
