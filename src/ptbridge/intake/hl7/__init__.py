"""HL7 v2 messages of one visit -> Visit, by a mapping with `standard: hl7v2`."""

from ptbridge.intake.hl7.mapping import Hl7Mapping, compile_mapping

__all__ = ["Hl7Mapping", "compile_mapping"]
