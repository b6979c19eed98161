"""The nouns of ptbridge. Standard library only, so that no third-party release can reach the charges."""

from ptbridge.model.answer import Answer, NativeCode, Stage, Standing
from ptbridge.model.charge import Charge, CodedDay, Exclusion, PricedDay
from ptbridge.model.fate import Fate
from ptbridge.model.finding import Finding, Severity
from ptbridge.model.line_change import LineChange, ShownLine, line_changes
from ptbridge.model.money import cents, dollars
from ptbridge.model.people import ASSISTANT_CREDENTIALS, Address, Coverage, Guarantor, Patient, Provider, Subscriber
from ptbridge.model.service_line import ServiceLine
from ptbridge.model.source_record import SourceRecord
from ptbridge.model.submission import Acknowledgement, Disposition, Frequency, Submission
from ptbridge.model.treatment_day import TreatmentDay
from ptbridge.model.visit import Accident, Diagnosis, Discipline, Intervention, PlanOfCare, Visit, VisitStatus

__all__ = [
    "ASSISTANT_CREDENTIALS",
    "Accident",
    "Acknowledgement",
    "Address",
    "Answer",
    "Charge",
    "CodedDay",
    "Coverage",
    "Diagnosis",
    "Discipline",
    "Disposition",
    "Exclusion",
    "Fate",
    "Finding",
    "Frequency",
    "Guarantor",
    "Intervention",
    "LineChange",
    "NativeCode",
    "Patient",
    "PlanOfCare",
    "PricedDay",
    "Provider",
    "ServiceLine",
    "Severity",
    "ShownLine",
    "SourceRecord",
    "Stage",
    "Standing",
    "Submission",
    "Subscriber",
    "TreatmentDay",
    "Visit",
    "VisitStatus",
    "cents",
    "dollars",
    "line_changes",
]
