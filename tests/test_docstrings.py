"""Every public name says what it is, and every argument of a documented parameter list is in it."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

MODULES = ("vsa", "vsa.fields", "retrieval", "retrieval.compat", "retrieval.upgrade")


def public() -> Iterator[tuple[str, Any]]:
    """Public names of the packages, and the public methods and properties that their classes define."""
    for module in MODULES:
        package = importlib.import_module(module)
        yield module, package
        for name in package.__all__:
            found = getattr(package, name)
            yield f"{module}.{name}", found
            if inspect.isclass(found):
                yield from members(f"{module}.{name}", found)


def members(name: str, cls: type) -> Iterator[tuple[str, Any]]:
    """Methods and properties that a class has from these packages; torch's own are not ours to document."""
    for key in dir(cls):
        member = inspect.getattr_static(cls, key)
        member = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        ours = getattr(member, "__module__", None) or ""
        if not key.startswith("_") and inspect.isfunction(member) and ours.split(".")[0] in ("vsa", "retrieval"):
            yield f"{name}.{key}", member


@pytest.mark.parametrize(("name", "thing"), [pytest.param(*each, id=each[0]) for each in public()])
def test_a_public_name_has_a_docstring(name: str, thing: Any) -> None:
    # A dataclass without one of its own gets its signature for a docstring, and other classes that of their base.
    own = thing.__doc__ if inspect.isclass(thing) or inspect.ismodule(thing) else inspect.getdoc(thing)
    assert own, f"{name} has no docstring"
    assert not own.startswith(f"{name.split('.')[-1]}("), f"{name} has a made docstring alone"


@pytest.mark.parametrize(
    ("name", "thing"), [pytest.param(*each, id=each[0]) for each in public() if inspect.isfunction(each[1])]
)
def test_a_list_of_parameters_is_whole(name: str, thing: Any) -> None:
    text = inspect.getdoc(thing) or ""
    if "Parameters\n-----" in text:
        arguments = [p for p in inspect.signature(thing).parameters if p not in ("self", "cls")]
        assert [argument for argument in arguments if argument not in text] == []


FUNCTIONS = [pytest.param(*each, id=each[0]) for each in public() if inspect.isfunction(each[1])]
# A shape, or the name of what tells it.
SHAPE = re.compile(r"\(n|\(\w+,|shape|as `?\w")


@pytest.mark.parametrize(("name", "thing"), FUNCTIONS)
def test_a_function_that_raises_says_so(name: str, thing: Any) -> None:
    steps = ast.walk(ast.parse(textwrap.dedent(inspect.getsource(thing))))
    if any(isinstance(step, ast.Raise) and step.exc is not None for step in steps):
        assert re.search(r"[Rr]aise|[Ee]rror|[Rr]efuse", inspect.getdoc(thing) or ""), (
            f"{name} does not tell its errors"
        )


@pytest.mark.parametrize(("name", "thing"), FUNCTIONS)
def test_arrays_have_shapes(name: str, thing: Any) -> None:
    signature = inspect.signature(thing)
    types = [str(parameter.annotation) for parameter in signature.parameters.values()] + [
        str(signature.return_annotation)
    ]
    if any(re.search(r"ArrayLike|NDArray|Vectors|Float32|Float64|Floats|Rows", kind) for kind in types):
        assert SHAPE.search(inspect.getdoc(thing) or ""), f"{name} does not tell the shapes of its arrays"


@pytest.mark.parametrize(
    ("name", "thing"), [pytest.param(*each, id=each[0]) for each in public() if inspect.isclass(each[1])]
)
def test_how_a_class_is_made_is_not_told_in_the_words_of_another_library(name: str, thing: type) -> None:
    own = vars(thing).get("__init__")
    if own is None or own.__doc__:
        return
    shown = inspect.getdoc(own)  # its base's, where it has none
    assert shown in (None, inspect.getdoc(object.__init__)), f"{name}() shows {shown!r}"
