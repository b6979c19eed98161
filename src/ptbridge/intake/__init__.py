"""SourceRecord -> Visit -> TreatmentDay: what an EMR sent, read by a mapping into our words. Pure: no clock, no network."""

from ptbridge.intake.compiled import CompiledMapping
from ptbridge.intake.group import day_key, group
from ptbridge.intake.normalize import compile_mapping, normalize, record_resources
from ptbridge.intake.staleness import is_stale

__all__ = ["CompiledMapping", "compile_mapping", "day_key", "group", "is_stale", "normalize", "record_resources"]
