"""Loaded before any test."""

# pytest's importlib mode would make a namespace package of the folder meto/ when it collects meto/tests, and that would
# hide the installed package: it must be there first.
import meto  # noqa: F401
