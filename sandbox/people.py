"""Pretend people, all obviously synthetic: numbers with valid check digits that belong to nobody, names that say so."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

GIVEN = (
    "Ada", "Basil", "Cora", "Dario", "Edda", "Felix", "Gwen", "Hugo", "Iris", "Jonas", "Kaia", "Leon",
    "Mina", "Nils", "Opal", "Pavel", "Quinn", "Rosa", "Silas", "Tilda", "Umar", "Vera", "Wanda", "Yusuf",
)  # fmt: skip
FAMILY = (
    "Testerly", "Samplewood", "Mockford", "Fixtureson", "Dummyfield", "Exampleton", "Pretendham", "Fauxley",
    "Sandboxer", "Trialsworth", "Specimen", "Protova", "Demarco-Test", "Stubbington", "Seedman", "Simula",
)  # fmt: skip
STREETS = ("Example Avenue", "Sample Street", "Fixture Lane", "Sandbox Road", "Pretend Court")


def luhn_check_digit(digits: str) -> int:
    """The digit that makes `digits` + digit pass the Luhn formula (ISO/IEC 7812-1)."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return -total % 10


def npi(serial: int) -> str:
    """A National Provider Identifier with a valid check digit (45 CFR 162.406: Luhn over `80840` + nine digits)."""
    nine = f"19{serial:07d}"
    return f"{nine}{luhn_check_digit('80840' + nine)}"


def broken_npi(serial: int) -> str:
    """An NPI whose check digit is wrong."""
    good = npi(serial)
    return good[:9] + str((int(good[9]) + 1) % 10)


@dataclass(frozen=True, slots=True)
class Person:
    """Name, birth date, address and phone of a pretend patient. Phone numbers are 555-01xx: kept free for fiction."""

    given: str
    family: str
    gender: str
    birth_date: str
    street: str
    postal_code: str
    phone: str


def person(random: Random, *, over_65: bool) -> Person:
    """A pretend patient; Medicare patients are past 65."""
    year = random.randint(1938, 1959) if over_65 else random.randint(1965, 2004)
    return Person(
        given=random.choice(GIVEN),
        family=random.choice(FAMILY),
        gender=random.choice(("female", "male")),
        birth_date=f"{year}-{random.randint(1, 12):02d}-{random.randint(1, 28):02d}",
        street=f"{random.randint(1, 999)} {random.choice(STREETS)}",
        postal_code=f"606{random.randint(0, 99):02d}",
        phone=f"312-555-01{random.randint(0, 99):02d}",
    )
