"""TreatmentDay to ServiceLine to Charge. Pure functions: no files, no clock, no network."""

from ptbridge.coding.code import code
from ptbridge.coding.draft import Known
from ptbridge.coding.price import price
from ptbridge.coding.units_answer import parse_units_argument, units_answer

__all__ = ["Known", "code", "parse_units_argument", "price", "units_answer"]
