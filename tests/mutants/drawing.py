"""Mutants of a module: each is its source with one small bug, made by cosmic-ray's operators."""

from __future__ import annotations

import ast
import difflib
import random
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

# Of types, None and members of enumerations these are one test, and nothing else is compared by identity here.
SAME = ("core/ReplaceComparisonOperator_Is_Eq", "core/ReplaceComparisonOperator_IsNot_NotEq")

Span = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Mutant:
    """A module with one bug in it.

    Attributes
    ----------
    operator : str
        What was done, by cosmic-ray's name.
    source : str
        The whole module, bug included.
    diff : str
        The lines that differ.
    """

    operator: str
    source: str
    diff: str


def mutants(path: Path) -> list[Mutant]:
    """Every mutant of a module that differs in what runs: annotations are never evaluated, and no bugs."""
    source = path.read_text(encoding="utf-8")
    seen = {ast.dump(ast.parse(source))}
    unread = _annotations(source)
    found = []
    for name in sorted(plugins.operator_names()):
        operator_class = plugins.get_operator(name)
        if name in SAME or operator_class.arguments():
            continue
        operator = operator_class()
        places = [place for node in ast_nodes(get_ast(source)) for place in operator.mutation_positions(node)]
        for occurrence, place in enumerate(places):
            if any(start <= place[0] and place[1] <= end for start, end in unread):
                continue
            mutated = mutate_code(source, operator, occurrence)
            try:
                meaning = ast.dump(ast.parse(mutated or source))
            except SyntaxError:
                continue
            if meaning not in seen:
                seen.add(meaning)
                found.append(Mutant(name.removeprefix("core/"), mutated, _diff(source, mutated)))
    return found


def draw(path: Path, count: int, seed: int) -> tuple[list[Mutant], int]:
    """So many mutants drawn at random, and how many there are."""
    every = mutants(path)
    return random.Random(seed).sample(every, min(count, len(every))), len(every)


def _annotations(source: str) -> list[Span]:
    """Where annotations stand. Lines count from 1 and columns from 0, as cosmic-ray counts them."""
    nodes: list[ast.expr] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
            nodes.append(node.returns)
        elif isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            nodes.append(node.annotation)
    return [
        ((node.lineno, node.col_offset), (node.end_lineno or node.lineno, node.end_col_offset or 0)) for node in nodes
    ]


def _diff(before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return "\n".join(line for line in lines if not line.startswith(("---", "+++")))
