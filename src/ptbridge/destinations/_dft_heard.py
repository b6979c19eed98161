"""What the biller's application said later, over a connection of its own: the acknowledgements that `ptbridge listen` stored.

HL7 v2.8.2 ch. 2.9.3, enhanced mode with MSH-16 AL: the receiver's accept answer (CA) says that the message is safe there, and
the application's answer (AA, AE, AR) is a message of its own, about the one that MSA-2 names. Only that id decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ptbridge.destinations._dft_er7 import control_id_of
from ptbridge.destinations._dft_link import words_of
from ptbridge.model import Acknowledgement, Answer, Disposition, NativeCode, Stage, Standing, Submission
from ptbridge.ports import AnswerPage, Inbox, InboxEntry
from ptbridge.wire.hl7v2 import Message

_PAGE = 200  # messages looked at for one page
_STANDING = {"AA": Standing.ACCEPTED, "AE": Standing.REJECTED, "AR": Standing.REJECTED}


class Heard:
    """The acknowledgements in one clinic's inbox."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def last_word(self, submission: Submission) -> Acknowledgement | None:
        """The application's answer about a submission, the first that came; None while there is none."""
        control_id = control_id_of(submission.key)
        for entry in self._inbox.about("MSA-2", control_id):
            code, text = self._said(entry)
            if code in _STANDING:
                accepted = _STANDING[code] is Standing.ACCEPTED
                return Acknowledgement(
                    disposition=Disposition.ACCEPTED if accepted else Disposition.REJECTED,
                    destination_id=control_id,
                    native_code=code,
                    native_text="" if accepted else text,
                )
        return None

    def pages(self, cursor: Mapping[str, str]) -> Iterator[AnswerPage]:
        """Every application answer after the cursor (the number of a message), whomever it is about."""
        after, upto = int(cursor.get("message", "0")), self._inbox.last()
        while entries := self._inbox.arrived(after=after, upto=upto, limit=_PAGE):
            after = entries[-1].seq
            answers = tuple(answer for entry in entries if (answer := self._answer(entry)) is not None)
            yield AnswerPage(answers=answers, cursor={"message": str(after)})

    def _answer(self, entry: InboxEntry) -> Answer | None:
        named = entry.values("MSA-2") if entry.state == "taken" else []
        code, text = self._said(entry) if named else ("", "")
        if code not in _STANDING:
            return None
        return Answer(
            key=f"message-{entry.seq}",
            stage=Stage.RECEIVED,
            standing=_STANDING[code],
            destination_id=named[0],
            submission_key=named[0],
            codes=(NativeCode(system="MSA-1", code=code),),
            text=text,
        )

    def _said(self, entry: InboxEntry) -> tuple[str, str]:
        """MSA-1, and the application's own words."""
        raw = self._inbox.raw(entry.seq)
        return Message.parse(raw).get("MSA-1") or "", words_of(raw)
