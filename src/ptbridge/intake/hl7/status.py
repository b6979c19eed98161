"""Where the visit stands, from the events that its messages tell, and whether its note is signed.

Registration and booking move a visit forward and never back: an update that follows the charge does not un-finish it. A
cancelled visit stays cancelled until it is registered or booked again; a charge that comes after the cancellation is a
contradiction that a person must solve. HL7 v2.8.2 ch. 3 (ADT), 10 (SIU), 9.6 (MDM; TXA-17, table 0271).
"""

from __future__ import annotations

from ptbridge.intake import values
from ptbridge.intake.fields import Reading
from ptbridge.intake.hl7.fields import Field
from ptbridge.intake.hl7.record import Seen, SegmentScope, VisitRecord
from ptbridge.model import VisitStatus
from ptbridge.specs.mapping import Mapping

_PROGRESS = {VisitStatus.PLANNED: 0, VisitStatus.IN_PROGRESS: 1, VisitStatus.FINISHED: 2}
_OVER = frozenset({VisitStatus.CANCELLED, VisitStatus.NO_SHOW, VisitStatus.ENTERED_IN_ERROR})
REOPENED = "reopened"
WORDS = frozenset({REOPENED, *(status.value for status in VisitStatus)})


class StatusReader:
    """Compiled `visit.status`. The look-up table says what each event means; an event that is not in it says nothing."""

    def __init__(self, mapping: Mapping) -> None:
        self.field = Field(mapping, "visit", "status", lambda raw, _reading: raw)

    def read(self, record: VisitRecord, reading: Reading, *, charged: bool) -> VisitStatus:
        """The status after every event, in the order in which the messages were written."""
        status: VisitStatus | None = None
        for seen in record.messages:
            word = self._word(seen) if seen.use not in ("person", "merge", "late-merge", "revoked") else None
            if word is None or (seen.charges and not charged):
                continue
            status = self._after(status, word, seen, reading)
        return status or VisitStatus.UNKNOWN

    def _word(self, seen: Seen) -> str | None:
        for path in self.field.paths:
            written = seen.message.trigger if path.text == "MSH-9.2" else path.first(seen.message.segments(path.segment))
            word = self.field.word(written) if written else None
            if word in WORDS:
                return word
        return None

    def _after(self, status: VisitStatus | None, word: str, seen: Seen, reading: Reading) -> VisitStatus:
        if word == REOPENED:
            return VisitStatus.IN_PROGRESS
        new = VisitStatus(word)
        if status in _OVER and seen.charges:
            reading.report("MP31", f"a charge came after the visit was {status.value}", where="MSH-9")
            return new
        if status is None or status in _OVER or new in _OVER:
            return new
        return new if _PROGRESS.get(new, 0) > _PROGRESS.get(status, 0) else status


class NoteReader:
    """Compiled `note`: the state of each document, by its number (TXA-12), newest message first."""

    def __init__(self, mapping: Mapping) -> None:
        self.each = tuple(mapping.spec.note.each if isinstance(mapping.spec.note.each, tuple) else (mapping.spec.note.each,))
        self.signed = Field(mapping, "note", "signed", lambda raw, _reading: values.flag(raw))

    def read(self, record: VisitRecord, reading: Reading) -> bool | None:
        """False when any document is unsigned, None when there is none or none says."""
        if not self.signed.paths and self.signed.spec.fixed is None:
            return None
        answers: dict[str, bool | None] = {}
        for message in record.layers:
            for segment in (one for name in self.each if name for one in message.segments(name)):
                scope = SegmentScope(segment, message, record)
                known = answers.setdefault
                if message.trigger == "T11":  # the document was cancelled
                    known(_document(segment.value(12)), True)
                else:
                    document = _document(segment.value(13) or segment.value(12))
                    if document not in answers:
                        known(document, self.signed.read(scope, reading))
        if not answers:
            return None
        return True if all(answers.values()) else False if False in answers.values() else None


def _document(number: str | None) -> str:
    return number or ""
