"""fhirpathpy, made safe for mapping files: the forms that the compiled subset leaves out.

What is set right here (seen in fhirpathpy 2.2.4): its parser skips over what it cannot read, so syntax is checked with an
error listener and to the end of the text; `extension(url)` gives the first extension only, where FHIR gives all; it writes
type data into what it reads, so it gets a copy; it cannot resolve references.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

from antlr4 import CommonTokenStream, InputStream  # type: ignore[import-untyped]  # comes with fhirpathpy
from antlr4.error.ErrorListener import ErrorListener  # type: ignore[import-untyped]
from fhirpathpy import compile as compile_expression
from fhirpathpy.engine import nodes as engine_nodes
from fhirpathpy.models import models
from fhirpathpy.parser.generated.FHIRPathLexer import FHIRPathLexer
from fhirpathpy.parser.generated.FHIRPathParser import FHIRPathParser

from ptbridge.intake.record_index import RecordIndex

# Unbounded work, or an answer that depends on the clock: not in a mapping.
REFUSED_FUNCTIONS = frozenset(
    {"repeat", "matches", "matchesFull", "replaceMatches", "trace", "now", "today", "timeOfDay", "aggregate", "descendants"}
)

Evaluate = Callable[[Any, RecordIndex], list[Any]]


_node: Any = engine_nodes.ResourceNode.create_node
_parser: Any = FHIRPathParser


class FullSyntaxError(ValueError):
    """Not FHIRPath, or not allowed in a mapping."""


def compile_full(text: str) -> Evaluate:
    """A function that gives all values of an expression on a node. Raises FullSyntaxError."""
    for name in re.findall(r"(\w+)\s*\(", text):
        if name in REFUSED_FUNCTIONS:
            raise FullSyntaxError(f"{name}() is not allowed in a mapping. Choose a path without it.")
    _check_syntax(text)
    current: list[RecordIndex] = []

    def resolve(found: list[Any]) -> list[Any]:
        targets = (current[-1].resolve(getattr(node, "data", node)) for node in found)
        return [_node(copy.deepcopy(target)) for target in targets if target is not None]

    table = {"resolve": {"fn": resolve, "arity": {0: []}}, "extension": {"fn": _extension, "arity": {1: ["String"]}}}
    try:
        evaluate = compile_expression(text, models["r4"], {"userInvocationTable": table})
    except Exception as error:  # it raises bare Exception
        raise FullSyntaxError(f"{text!r} is not readable as FHIRPath. Check it against the specification.") from error

    def every(node: Any, index: RecordIndex) -> list[Any]:
        current.append(index)
        try:
            return [value for value in evaluate(copy.deepcopy(node), {}) if value is not None]
        finally:
            current.pop()

    return every


def _extension(found: list[Any], url: str) -> list[Any]:
    """All extensions with that URL, as FHIR R4 defines the function (section 2.9.1.5.1)."""
    matching: list[Any] = []
    for node in found:
        data = getattr(node, "data", node)
        written = data.get("extension") if isinstance(data, dict) else None
        entries = [entry for entry in written if isinstance(entry, dict)] if isinstance(written, list) else []
        matching += [_node(entry, "Extension") for entry in entries if entry.get("url") == url]
    return matching


class _Refuse(ErrorListener):  # type: ignore[misc]  # antlr4 has no types
    """Stops at the first thing that the parser would skip over."""

    def syntaxError(self, recognizer: Any, offendingSymbol: Any, line: int, column: int, msg: str, e: Any) -> None:
        raise FullSyntaxError(f"not readable as FHIRPath at character {column + 1}. Correct it there.")


def _check_syntax(text: str) -> None:
    lexer = FHIRPathLexer(InputStream(text))
    parser = _parser(CommonTokenStream(lexer))
    for part in (lexer, parser):
        part.removeErrorListeners()
        part.addErrorListener(_Refuse())
    parser.entireExpression()
