"""FHIRPath for mapping files: the common forms compiled to Python functions, everything else given to fhirpathpy.

The compiled subset, over plain dicts as orjson makes them:

    a.b.c            fields; a list on the way is flattened; `value` finds `valueQuantity` (choice types)
    a[0]  first()  last()
    where(x = 'y')  where(x.y = 'z' and u.exists())
    extension('url')
    performed.ofType(Period)   resolve().ofType(Practitioner)
    resolve()        inside the record: relative and absolute references, urn:uuid, #contained, Type?identifier=system|value
    exists()         at the end of a path or inside where()

A name in capitals at the start (`Procedure.code`) is the resource type that the path starts from. Both engines give the same
answers on the subset (tests/properties/test_fhirpath.py). A path is checked when the mapping is loaded; it cannot run long:
its length and nesting are bounded, and functions that repeat, match by regular expression or read the clock are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ptbridge.intake.fhirpath_syntax import MAX_LENGTH, OutsideSubset, Parser, PathSyntaxError, check_brackets, shape
from ptbridge.intake.path_source import Every, First, compile_steps
from ptbridge.intake.record_index import RecordIndex

__all__ = ["MAX_LENGTH", "Path", "PathEvaluationError", "PathSyntaxError", "compile_path"]


@dataclass(frozen=True, slots=True)
class Path:
    """A compiled path. `root` is the resource type that it names at its start, or None for a path inside the current item.

    `first(node, index)` gives the first value under a node, or None; `every(node, index)` the list of all.
    """

    text: str
    root: str | None
    native: bool  # True: the compiled subset; False: fhirpathpy
    first: First
    every: Every
    plain: tuple[str, ...] = ()  # the field names, where the path is nothing else: readers may walk them without calls
    extension_url: str = ""  # where the path is `extension('url').value`


@lru_cache(maxsize=2_000)  # the same paths stand under four clinicians, and in the mapping of every clinic
def compile_path(text: str) -> Path:
    """Compile a path once; use it for every record. Raises PathSyntaxError."""
    check_brackets(text)
    try:
        root, steps = Parser(text).path()
        first, every = compile_steps(steps)
    except OutsideSubset:
        return _by_fhirpathpy(text)
    plain, url = shape(steps)
    return Path(text, root, True, first, every, plain, url)


# ---------------------------------------------------------------- everything else


def _by_fhirpathpy(text: str) -> Path:
    """Everything outside the subset."""
    from ptbridge.intake.fhirpath_full import FullSyntaxError, compile_full  # 0.3 s to import: only when a mapping needs it

    try:
        evaluate = compile_full(text)
    except FullSyntaxError as error:
        raise PathSyntaxError(str(error)) from None

    def every(node: Any, index: RecordIndex) -> list[Any]:
        try:
            return list(evaluate(node, index))
        except Exception as error:  # a path that does not suit the data; whatever it raises
            raise PathEvaluationError(text) from error

    def first(node: Any, index: RecordIndex) -> Any:
        found = every(node, index)
        return found[0] if found else None

    match = re.match(r"\s*([A-Z]\w*)\b(?!\()", text)
    return Path(text, match[1] if match else None, False, first, every)


class PathEvaluationError(ValueError):
    """fhirpathpy could not evaluate this path on this record. The text is the path, never the data."""
