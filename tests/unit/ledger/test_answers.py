"""News of what was sent: kept once, linked to the right submission, and the furthest and latest word on each day."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from ptbridge.ledger import DayRow, Ledger, Verdict
from ptbridge.model import (
    Acknowledgement,
    Answer,
    Disposition,
    Frequency,
    NativeCode,
    Stage,
    Standing,
    Submission,
)
from ptbridge.ports import AnswerPage, Outcome

CLINIC, PLATFORM = "riverside", "charge_api"
REFERENCE = "pt-" + "a1b2c3d4e5f6a7b8c9d0e1f2"
LOOKALIKE = "pt-" + "a1b2c3d4e5f6a7b8c9d0ffff"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "state") as one:
        one.begin_run(CLINIC)
        yield one


def day_of(ledger: Ledger, day_id: int) -> DayRow:
    found = ledger.days.get(day_id)
    assert found is not None
    return found


def queued(ledger: Ledger, reference: str = REFERENCE, frequency: Frequency = Frequency.ORIGINAL, findings: str = "") -> int:
    """A day with a submission that waits."""
    with ledger.transaction():
        day_id = ledger.days.ensure(CLINIC, f"day of {reference}", reference, "2026-11-20")
    day = day_of(ledger, day_id)
    sent = Submission(
        clinic=CLINIC,
        destination=PLATFORM,
        key=f"{reference}-{day.revision + 1}",
        reference=reference,
        order_key=reference,
        revision=day.revision + 1,
        frequency=frequency,
        body=b"1",
        units=2,
        amount_cents=9000,
        lines=1,
        service_date="2026-11-20",
    )
    page = f'{{"findings": [{findings}], "lines": [{{"procedure": "97110", "units": 2, "amount_cents": 9000}}]}}'
    verdict = Verdict(
        state="queued",
        body=page.encode(),
        visits_sha256=b"v",
        units=2,
        amount_cents=9000,
        lines=1,
        content_sha256=f"c{day.revision}".encode(),
        submission=sent,
    )
    with ledger.transaction():
        ledger.days.record(day, verdict)
    return day_id


def sent(ledger: Ledger, reference: str = REFERENCE, destination_id: str | None = "B1", **options: Any) -> int:
    """A day whose submission the biller took."""
    day_id = queued(ledger, reference, **options)
    outbox = ledger.outbox(CLINIC, PLATFORM)
    (item,) = outbox.due(now=3e9, limit=10)
    outbox.start((item,), now=3e9)
    answer = Acknowledgement(disposition=Disposition.ACCEPTED, destination_id=destination_id, native_code="live")
    outbox.finish((Outcome(item=item, acknowledgement=answer),), now=3e9)
    return day_id


def told(ledger: Ledger, key: str, stage: Stage, standing: Standing, **more: Any) -> Any:
    more.setdefault("reference", REFERENCE)
    page = AnswerPage(answers=(Answer(key=key, stage=stage, standing=standing, **more),))
    return ledger.answers.record(CLINIC, PLATFORM, page)


def stands(ledger: Ledger, day_id: int) -> tuple[str | None, str | None, str | None]:
    day = day_of(ledger, day_id)
    return day.stage, day.standing, day.payer_claim_number


CARC = (NativeCode(system="CARC", code="CO-197", text="Famqxz has no authorization"),)


def test_a_page_and_its_cursor_are_one_and_the_same_news_again_is_absorbed(ledger: Ledger) -> None:
    day_id = sent(ledger)
    page = AnswerPage(
        answers=(Answer(key="1", stage=Stage.PAYER, standing=Standing.ACCEPTED, reference=REFERENCE),), cursor={"after": "7"}
    )
    assert ledger.answers.record(CLINIC, PLATFORM, page).new == {"payer/accepted": 1}
    assert ledger.answers.cursor(CLINIC, PLATFORM) == {"after": "7"}
    again = ledger.answers.record(CLINIC, PLATFORM, page)
    assert (again.new, again.known) == ({}, 1) and stands(ledger, day_id)[:2] == ("payer", "accepted")
    ledger.answers.record(CLINIC, PLATFORM, AnswerPage(cursor={"since": "x"}))
    assert ledger.answers.cursor(CLINIC, PLATFORM) == {"since": "x"}
    assert ledger.answers.cursor(CLINIC, "another") == {} and ledger.cursor(CLINIC, PLATFORM) == {}


def test_half_a_page_is_no_page(ledger: Ledger) -> None:
    sent(ledger)
    good = Answer(key="1", stage=Stage.PAYER, standing=Standing.ACCEPTED, reference=REFERENCE)
    bad = Answer(key="2", stage=Stage.PAYER, standing=Standing.ACCEPTED, said_at=None)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="ledger"):
        ledger.answers.record(CLINIC, PLATFORM, AnswerPage(answers=(good, bad), cursor={"after": "9"}))
    assert ledger.answers.cursor(CLINIC, PLATFORM) == {}
    assert ledger.standings.counts(CLINIC)[0]["stage"] == "received"


def test_answers_are_never_changed_or_deleted(ledger: Ledger) -> None:
    sent(ledger)
    told(ledger, "1", Stage.PAYER, Standing.ACCEPTED)
    for words in ("UPDATE answer SET stage = 'payer'", "DELETE FROM answer"):
        with pytest.raises(apsw.Error):
            ledger._connection.execute(words)


@pytest.mark.parametrize(
    ("given", "linked"),
    [
        ({"reference": REFERENCE}, True),
        ({"reference": REFERENCE[:17]}, True),
        ({"reference": REFERENCE[3:17].upper()}, True),
        ({"reference": REFERENCE[:10]}, True),
        ({"reference": REFERENCE[:9]}, False),
        ({"reference": "PT-NOBODY-KNOWS"}, False),
        ({"reference": None, "destination_id": "B1"}, True),
        ({"reference": None, "destination_id": "B2"}, False),
        ({"reference": None}, False),
    ],
)
def test_a_charge_is_found_by_its_reference_whole_or_cut_or_by_the_platforms_id(
    ledger: Ledger, given: dict[str, Any], linked: bool
) -> None:
    day_id = sent(ledger)
    found = told(ledger, "1", Stage.PAYER, Standing.ACCEPTED, **given)
    assert (
        found.orphans == (not linked)
        and sum(found.new.values()) == linked
        and len(ledger.standings.orphans(CLINIC)) == (not linked)
    )
    assert stands(ledger, day_id)[0] == ("payer" if linked else "received")


def test_a_cut_reference_that_fits_two_days_is_nobodys(ledger: Ledger) -> None:
    sent(ledger)
    sent(ledger, LOOKALIKE, "B2")
    assert told(ledger, "1", Stage.PAYER, Standing.ACCEPTED, reference=REFERENCE[:20]).orphans == 1
    assert told(ledger, "2", Stage.PAYER, Standing.ACCEPTED, reference=LOOKALIKE[:25]).orphans == 0


def test_only_forward_in_stage_and_the_later_word_within_one(ledger: Ledger) -> None:
    day_id = sent(ledger)
    told(ledger, "1", Stage.REMITTANCE, Standing.DENIED, said_at="2026-11-24T10:00:00-06:00")
    told(ledger, "2", Stage.CLEARINGHOUSE, Standing.REJECTED, said_at="2026-11-25T00:00:00Z")
    assert stands(ledger, day_id)[:2] == ("remittance", "denied")
    told(ledger, "3", Stage.REMITTANCE, Standing.PAID, said_at="2026-11-24T15:59:59Z")  # a second before, in another zone
    assert stands(ledger, day_id)[:2] == ("remittance", "denied")
    told(ledger, "4", Stage.REMITTANCE, Standing.PAID, said_at="2026-11-24T16:00:01Z")
    assert stands(ledger, day_id)[:2] == ("remittance", "paid")


def test_a_line_that_was_not_paid_counts_until_a_later_word_on_the_claim(ledger: Ledger) -> None:
    day_id = sent(ledger)
    told(ledger, "1", Stage.REMITTANCE, Standing.PAID, said_at="2026-11-24")
    found = told(ledger, "2", Stage.REMITTANCE, Standing.DENIED, said_at="2026-11-24", line=1, procedure="97110", codes=CARC)
    assert found.refused_days == 1 and stands(ledger, day_id)[1] == "denied"
    refusal = ledger.standings.refusal(day_id)
    assert refusal is not None and [(part.line, part.codes[0].code) for part in refusal.parts] == [(1, "CO-197")]
    told(ledger, "3", Stage.REMITTANCE, Standing.PAID, said_at="2026-12-01")
    assert stands(ledger, day_id)[1] == "paid" and ledger.standings.refusal(day_id) is None


def test_the_payers_number_is_kept_and_cleared_when_another_submission_becomes_live(ledger: Ledger) -> None:
    day_id = sent(ledger)
    told(ledger, "1", Stage.PAYER, Standing.ACCEPTED, payer_claim_number="ICN1")
    told(ledger, "2", Stage.REMITTANCE, Standing.DENIED)
    assert stands(ledger, day_id) == ("remittance", "denied", "ICN1")
    sent(ledger, frequency=Frequency.REPLACEMENT)
    assert stands(ledger, day_id) == ("received", "accepted", None)
    told(ledger, "3", Stage.CLEARINGHOUSE, Standing.REJECTED)
    assert stands(ledger, day_id) == ("clearinghouse", "rejected", "ICN1")  # the payer still has what it was to replace


def test_a_void_that_was_rejected_is_told_though_nothing_is_live(ledger: Ledger) -> None:
    day_id = sent(ledger)
    told(ledger, "1", Stage.PAYER, Standing.ACCEPTED, payer_claim_number="ICN1")
    sent(ledger, frequency=Frequency.VOID)
    assert day_of(ledger, day_id).live_sha256 is None and ledger.standings.refusal(day_id) is None
    told(ledger, "2", Stage.CLEARINGHOUSE, Standing.REJECTED)
    refusal = ledger.standings.refusal(day_id)
    assert refusal is not None and refusal.frequency is Frequency.VOID
    assert [row.id for row in ledger.days.dirty(CLINIC)] == [day_id]


def test_news_by_our_key_is_about_that_submission_whatever_is_live(ledger: Ledger) -> None:
    day_id = sent(ledger)
    sent(ledger, frequency=Frequency.REPLACEMENT)
    told(ledger, "1", Stage.PAYER, Standing.REJECTED, submission_key=f"{REFERENCE}-1")
    assert stands(ledger, day_id)[:2] == ("received", "accepted")
    told(ledger, "2", Stage.PAYER, Standing.PENDING, submission_key=f"{REFERENCE}-2")
    assert stands(ledger, day_id)[:2] == ("payer", "pending")
    assert [(row["revision"], row["standing"]) for row in ledger.standings.of_day(day_id)] == [(1, "rejected"), (2, "pending")]


def test_news_that_came_before_the_platforms_id_was_known_is_adopted(ledger: Ledger) -> None:
    assert told(ledger, "1", Stage.PAYER, Standing.REJECTED, reference=None, destination_id="B1").orphans == 1
    day_id = sent(ledger)
    assert stands(ledger, day_id)[:2] == ("received", "accepted")
    assert ledger.answers.adopt(CLINIC, PLATFORM) == 1
    assert stands(ledger, day_id)[:2] == ("payer", "rejected") and ledger.standings.orphans(CLINIC) == []
    assert ledger.answers.adopt(CLINIC, PLATFORM) == 0
    assert [row["standing"] for row in ledger.standings.of_day(day_id)] == ["rejected"]


def test_news_of_a_submission_in_doubt_counts_once_it_is_accepted(ledger: Ledger) -> None:
    day_id = queued(ledger)
    told(ledger, "1", Stage.CLAIM_MADE, Standing.ACCEPTED)
    assert stands(ledger, day_id)[0] is None
    outbox = ledger.outbox(CLINIC, PLATFORM)
    (item,) = outbox.due(now=3e9, limit=10)
    outbox.start((item,), now=3e9)
    outbox.finish((Outcome(item=item, acknowledgement=Acknowledgement(disposition=Disposition.ACCEPTED)),), now=3e9)
    assert stands(ledger, day_id)[0] == "claim-made"


def test_bad_news_asks_for_a_judgement_once_and_again_only_when_it_is_new(ledger: Ledger) -> None:
    day_id = sent(ledger)
    assert told(ledger, "1", Stage.REMITTANCE, Standing.DENIED, codes=CARC).refused_days == 1
    assert [row.id for row in ledger.days.dirty(CLINIC)] == [day_id]
    ledger._connection.execute("UPDATE treatment_day SET dirty = 0, state = 'sent'")
    assert told(ledger, "1", Stage.REMITTANCE, Standing.DENIED).refused_days == 0
    assert told(ledger, "2", Stage.PAYER, Standing.ACCEPTED).refused_days == 0
    assert ledger.days.dirty(CLINIC) == []
    assert told(ledger, "3", Stage.REMITTANCE, Standing.DENIED).refused_days == 1


def test_what_let_it_through_is_what_stood_beside_it_when_it_was_sent(ledger: Ledger) -> None:
    day_id = sent(ledger, findings='{"code": "UN04", "severity": "warning"}, {"code": "RJ01", "severity": "error"}')
    told(ledger, "1", Stage.REMITTANCE, Standing.DENIED, codes=CARC)
    refusal = ledger.standings.refusal(day_id)
    assert refusal is not None and refusal.let_through == ("UN04",)
    refused = ledger.standings.refused(day_id)
    assert refused is not None and refused.lines == (("97110", 2, 9000),) and not refused.settled


def test_texts_of_the_other_side_stay_out_of_history_and_plain_columns(ledger: Ledger) -> None:
    day_id = sent(ledger)
    told(ledger, "1", Stage.REMITTANCE, Standing.DENIED, codes=CARC, text="Givqxz Famqxz: call us")
    (row,) = ledger.standings.of_day(day_id)
    assert row["text"] == "Givqxz Famqxz: call us" and row["codes"][0]["text"] == "Famqxz has no authorization"
    plain = [
        str(cell) for cell in ledger._connection.execute("SELECT codes, answer_key, procedure FROM answer").fetchone() or ()
    ]
    plain += [event["detail"] for event in ledger.history.of("day", day_id)]
    assert not [text for text in plain if "qxz" in text]
    assert "qxz" not in repr(ledger.standings.refusal(day_id))
