"""Facts as X12 can carry them: characters, names, numbers, amounts. What it cannot carry is a `Problem`, never a guess.

Letters are written as capitals (X12's basic set has no others). `SPELLED` and taking accents off are all the changes that are
made to a text; anything else outside the sets of 005010X222A1, appendix B, or one of the four separators, is a problem.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

from ptbridge.model import Provider

ELEMENT, COMPONENT, REPETITION, SEGMENT = "*", ":", "^", "~"

SPELLED = {
    "‘": "'",
    "’": "'",
    "`": "'",
    "´": "'",
    "“": '"',
    "”": '"',
    "‐": "-",
    "‑": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "ß": "ss",
    "ẞ": "SS",
    "Æ": "AE",
    "æ": "ae",
    "Œ": "OE",
    "œ": "oe",
    "Ø": "O",
    "ø": "o",
    "Đ": "D",
    "đ": "d",
    "Ð": "D",
    "ð": "d",
    "Ł": "L",
    "ł": "l",
    "Þ": "TH",
    "þ": "th",
    "ı": "i",
}
_TABLE = str.maketrans(SPELLED)
_BASIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!\"&'()+,-./;?= "
_EXTENDED = "%@[]_{}\\|<>#$"
_CARRIED = frozenset(_BASIC + _EXTENDED)
_CREDENTIAL = re.compile(r"[A-Z]{2,6}")


class Problem(Exception):
    """Why a fact cannot be written, in words without the fact."""


def spelled(text: str, most: int, least: int = 0) -> str:
    """A text in X12's characters, spaces folded. Raises Problem for what it cannot carry, and for a text too long or short."""
    plain = text
    if not text.isascii() or "`" in text:
        plain = unicodedata.normalize("NFKD", text.translate(_TABLE))
        plain = "".join(one for one in plain if not unicodedata.combining(one))
    plain = " ".join(plain.split()).upper()
    if not _CARRIED.issuperset(plain):
        strange = sorted(set(plain) - _CARRIED)
        names = ", ".join(f"U+{ord(one):04X}" for one in strange[:3])
        raise Problem(f"has characters that X12 cannot carry ({names})")
    if len(plain) > most:
        raise Problem(f"has {len(plain)} characters, and a claim carries {most}")
    if len(plain) < least:
        raise Problem(f"has {len(plain)} characters, and a claim wants {least}")
    return plain


def digits(text: str, *lengths: int) -> str:
    """The digits of a number written in any way. Raises Problem when there are not as many as there must be."""
    found = "".join(one for one in text if one in "0123456789")
    if len(found) not in lengths:
        raise Problem(f"has {len(found)} digits, and needs {' or '.join(map(str, lengths))}")
    return found


def npi(text: str) -> str:
    """An NPI. Raises Problem when its check digit is wrong (45 CFR 162.406; Luhn over 80840 and the number)."""
    if not re.fullmatch(r"[12][0-9]{9}", text):
        raise Problem("is not ten digits that begin with 1 or 2")
    total = sum(sum(divmod(int(one) * (2 - at % 2), 10)) for at, one in enumerate(text))
    if (total + 24) % 10:
        raise Problem("has a wrong check digit")
    return text


def tax_id(text: str) -> tuple[str, str]:
    """REF01 and REF02 of 2010AA: `EI` an employer's number (12-3456789, or nine digits), `SY` a person's (123-45-6789)."""
    number = digits(text, 9)
    return ("SY" if re.fullmatch(r"\d{3}-\d{2}-\d{4}", text.strip()) else "EI"), number


def street(lines: tuple[str, ...]) -> list[str]:
    """N301 and N302. Raises Problem for none, or more than two."""
    found = [text for line in lines if (text := spelled(line, 55))]
    if not 1 <= len(found) <= 2:
        raise Problem(f"has {len(found)} street lines, and a claim carries one or two")
    return found


def is_post_box(line: str) -> bool:
    """A box where a street must stand (005010X222A1, 2010AA N3)."""
    return re.search(r"\b(P\.? ?O\.? ?BOX|POST OFFICE BOX|LOCK ?BOX)\b", line.upper()) is not None


def person(provider: Provider) -> tuple[str, str]:
    """Family and given names, as `Family, Given` or `Given Family` says them; credentials behind the name are left out.

    A given name may be empty. Raises Problem for no name at all.
    """
    pieces = [piece.strip() for piece in (provider.name or "").split(",")]
    while len(pieces) > 1 and all(_is_credential(word, provider) for word in pieces[-1].split()):
        pieces.pop()
    if len(pieces) > 1:
        family, given = pieces[0], " ".join(pieces[1:])
    else:
        words = pieces[0].split()
        while len(words) > 2 and _is_credential(words[-1], provider):
            words.pop()
        family, given = (words[-1] if words else ""), " ".join(words[:-1])
    if not family:
        raise Problem("has no name")
    return spelled(family, 60), spelled(given, 35)


def _is_credential(word: str, provider: Provider) -> bool:
    """`DPT`, `D.P.T.`: capitals behind a name that is not written in capitals itself; or the credential that we know."""
    bare = word.replace(".", "")
    known = (provider.credential or "").replace(".", "")
    return bare == known or (_CREDENTIAL.fullmatch(bare) is not None and (provider.name or "").upper() != provider.name)


def amount(cents: int) -> str:
    """Dollars without needless zeros (X12 type R): 60, 60.5, 60.25."""
    return format((Decimal(cents) / 100).normalize(), "f") if cents else "0"


def diagnosis(code: str) -> str:
    """An ICD-10-CM code without its dot. Raises Problem for what is none by its form."""
    bare = code.strip().upper().replace(".", "")
    if not re.fullmatch(r"[A-Z][0-9][A-Z0-9]{1,5}", bare):
        raise Problem("is no ICD-10-CM code")
    return bare
