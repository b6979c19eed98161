"""A native code that quotes the charge is no code: it would carry a patient into reasons, logs and `status` (contract S3)."""

from __future__ import annotations

import re
from dataclasses import replace

from ptbridge.model import Acknowledgement

NOT_A_CODE = "not-a-code"
_CODE = re.compile(r"[ -~]{0,64}")
_WORD = re.compile(r"[a-z0-9][a-z0-9-]{3,}")
_STATE = re.compile(rb'"(?:billable_)?status"\s*:\s*"[a-z-]+"')  # the state that we ask for, in lower case
_DATE = re.compile(r"(?:19|20)\d\d-?[01]\d-?[0-3]\d")


def unquoted(answer: Acknowledgement, body: bytes) -> Acknowledgement:
    """The answer, with a code that holds a word of what was sent, a date, or a whole text moved to the text beside it.

    A code is shown where people look, a text only to who asks about this one charge. Words of fewer than four characters
    are codes; so is a word that only names a field of the JSON that was sent, or the status that was asked for there.
    """
    code = answer.native_code
    sent = _STATE.sub(b"", body.lower())
    if _CODE.fullmatch(code) and not any(_quotes(word, sent) for word in _WORD.findall(code.lower())):
        return answer
    text = f"{code}: {answer.native_text}" if answer.native_text else code
    return replace(answer, native_code=NOT_A_CODE, native_text=text)


def _quotes(word: str, body: bytes) -> bool:
    if _DATE.fullmatch(word):
        return True
    return re.search(rb'(?<![a-z0-9])%s(?![a-z0-9]|"\s*:)' % re.escape(word.encode()), body) is not None
