"""The accounting line by line: every documented line once, with what became of it, and no patient unless asked for."""

from __future__ import annotations

from datetime import date

from ptbridge.model import Disposition, Frequency, Intervention

CLINIC, SOURCE = "riverside", "fhir_r4"
PAGE = {
    "lines": [
        {"line": "97110-GP x2", "units": 2, "amount_cents": 9000, "line_keys": ["e1/l0", "e1/l1"]},
        {"line": "97110-GP-CQ x1", "units": 1, "amount_cents": None, "line_keys": ["e1/l0"]},
        {"line": "no line", "units": 9, "amount_cents": 1, "line_keys": []},
    ],
    "exclusions": [{"line_key": "e1/l2", "rule": "NB01"}],
}


def rows(book, phi=False, clinic=CLINIC):
    return {f"{row['visit_id']}/{row['line_key']}": row for row in book.ledger.export(phi=phi).rows(clinic)}


def test_each_documented_line_stands_once_with_what_it_bills(book):
    day = book.visit("e1", lines=4)
    book.send(day, page=PAGE)
    found = rows(book)
    assert list(found) == ["e1/l0", "e1/l1", "e1/l2", "e1/l3"]
    first, with_first, excluded, alone = found.values()
    assert (first["state"], first["units"], first["amount_cents"]) == ("queued", 3, None), "one part has no price"
    assert (first["attempts"], first["destination"], first["billed_with"]) == (0, "charge_api", None)
    assert (with_first["units"], with_first["amount_cents"], with_first["billed_with"]) == (0, 0, "e1/l0")
    assert (excluded["state"], excluded["reason"], excluded["units"]) == ("excluded", "NB01", None)
    assert excluded["reference"] == first["reference"] == book.row(day).reference
    assert (alone["state"], alone["units"], alone["billed_with"]) == ("queued", None, None)
    assert first["key"] == book.ledger.accounts.submissions_of(day)[0]["key"] and len(first["version"]) == 16


def test_what_was_sent_has_the_billers_id_and_its_sums(book):
    page = {"lines": [{"line": "97110-GP x2", "units": 2, "amount_cents": 9000, "line_keys": ["e1/l0"]}]}
    book.sent("e1", lines=2, page=page)
    first, other = rows(book).values()
    assert (first["state"], first["units"], first["amount_cents"], first["billing_id"]) == ("sent", 2, 9000, "B-7")
    assert (first["attempts"], other["units"], other["amount_cents"]) == (1, 0, 0), "sent, and not for this line"


def test_what_is_not_on_its_way_says_why(book):
    book.judge(book.visit("e1", on=3), "held", "DC01")
    book.visit("e2", on=4)
    book.unreadable("e9")
    with book.ledger.transaction():
        book.visit("e3", on=5)
        book.ledger.visits.gone(CLINIC, SOURCE, "e3")
    excluded = book.visit("e4", on=6)
    (row,) = book.connection.execute("SELECT id FROM visit WHERE visit_id = 'e4'")
    book.judge(excluded, "excluded", "no-show", excluded={row[0]: (1, "no-show")})
    found = rows(book)
    assert {key: (one["state"], one["reason"]) for key, one in found.items()} == {
        "e9/None": ("quarantined", "entry 1: not JSON"),
        "e1/l0": ("held", "DC01"),
        "e2/l0": ("open", None),
        "e3/l0": ("excluded", "deleted-at-source"),
        "e4/l0": ("excluded", "no-show"),
    }
    assert found["e1/l0"]["held_since"] == book.ledger.history.now() and found["e2/l0"]["attempts"] == 0
    assert rows(book, clinic="other") == {} and len(rows(book, clinic=None)) == 5


def test_two_visits_of_a_day_are_read_with_one_judgement(book):
    book.visit("e1", day="d")
    day = book.visit("e2", day="d")
    lines = [{"line": "x", "units": 1, "amount_cents": 1, "line_keys": [f"{name}/l0"]} for name in ("e1", "e2")]
    book.send(day, page={"lines": lines})
    assert [row["units"] for row in rows(book).values()] == [1, 1]


def test_the_patient_is_named_only_when_asked_for(book):
    book.send(book.visit("e1"), page={"lines": [{"line": "97110-GP x2", "units": 2, "line_keys": ["e1/l0"]}]})
    assert not any("Testerly" in str(row) or "pat-1" in str(row) for row in rows(book).values())
    (row,) = rows(book, phi=True).values()
    assert (row["family"], row["patient_id"], row["mrn"], row["service_date"]) == ("Testerly", "pat-1", "M-1", "2026-11-20")
    assert (row["documented"], row["minutes"], row["charges"], row["birth_date"]) == ("97110", 30, ["97110-GP x2"], None)


def test_a_visit_of_no_day_is_open_until_a_rule_excludes_it(book):
    book.visit("e1")
    book.tamper("UPDATE visit SET day_id = NULL")
    assert rows(book)["e1/l0"]["state"] == "open"
    book.tamper("UPDATE visit SET excluded_rule = 'no-show'")
    assert [rows(book)["e1/l0"][name] for name in ("state", "reason")] == ["excluded", "no-show"]
    assert rows(book, phi=True)["e1/l0"]["charges"] == []


def test_every_row_has_the_same_names_in_the_same_order(book):
    book.send(book.visit("e1", version="v7"), page=PAGE)
    book.unreadable("e9")
    names = ["clinic", "source", "visit_id", "line_key", "version", "source_version", "first_seen_at", "purged_at"]
    names += ["state", "reason", "held_since", "reference", "destination", "key", "attempts", "billing_id"]
    names += ["units", "amount_cents", "billed_with"]
    assert [list(row) for row in rows(book).values()] == [names, names]
    patient = ["service_date", "patient_id", "mrn", "family", "given", "birth_date", "documented", "minutes", "charges"]
    assert list(rows(book, phi=True)["e1/l0"]) == names + patient
    first, unread = rows(book)["e1/l0"], rows(book)["e9/None"]
    assert (first["clinic"], first["source"], first["source_version"], first["purged_at"]) == (CLINIC, SOURCE, "v7", None)
    assert first["first_seen_at"] == unread["first_seen_at"] == book.ledger.history.now()
    assert unread["source_version"] is None and unread["reference"] is None
    book.tamper("UPDATE visit_version SET purged_at = '2026-11-22T00:00:00'")
    assert rows(book)["e1/l0"]["purged_at"] == "2026-11-22T00:00:00"


def test_a_visit_that_cannot_be_read_any_more_is_one_row_however_it_was_read_before(book):
    book.visit("e1", lines=2)
    book.unreadable("e1", "no code")
    (row,) = rows(book).values()
    assert (row["state"], row["reason"], row["line_key"]) == ("quarantined", "no code", None)


def test_a_line_that_begins_a_charge_of_its_own_is_not_billed_with_another(book):
    parts = [("97110-GP x1", ["e1/l0", "e1/l1"]), ("97110-GP-CQ x1", ["e1/l1", "e1/l2"])]
    lines = [{"line": line, "units": 1, "amount_cents": 4500, "line_keys": keys} for line, keys in parts]
    book.send(book.visit("e1", lines=3), page={"lines": lines})
    assert [row["billed_with"] for row in rows(book).values()] == [None, None, "e1/l1"]
    assert [row["units"] for row in rows(book).values()] == [1, 1, 0]


def test_what_was_documented_and_not_done_is_excluded(book):
    day = book.visit("e1", interventions=(Intervention(line_key="l0", documented="97110", code="97110", not_done=True),))
    book.judge(day, "held", "DC01")
    assert [rows(book)["e1/l0"][name] for name in ("state", "reason")] == ["excluded", "not-done"]


def test_a_charge_in_doubt_says_so_and_a_correction_has_the_id_of_what_is_live(book):
    doubt = book.visit("e1", on=3)
    book.send(doubt)
    book.answer(Disposition.IN_DOUBT, destination_id=None)
    assert rows(book)["e1/l0"]["state"] == "in-doubt"
    book.tamper("UPDATE submission SET state = 'accepted', open = 0")
    live = book.sent("e2")
    book.send(live, b"void", Frequency.VOID)
    assert (rows(book)["e2/l0"]["state"], rows(book)["e2/l0"]["billing_id"]) == ("queued", "B-7")
    book.answer(destination_id="B-8")
    assert (rows(book)["e2/l0"]["state"], rows(book)["e2/l0"]["billing_id"]) == ("voided", "B-8")


def test_a_charge_keeps_the_id_that_it_was_answered_with_where_a_restore_forgot_what_is_live(book):
    day = book.sent("e1")
    book.connection.execute("UPDATE treatment_day SET live_id = NULL WHERE id = ?", (day,))
    assert rows(book)["e1/l0"]["billing_id"] == "B-7"


def test_a_day_that_is_judged_anew_after_its_void_is_open_and_not_what_became_of_the_void(book):
    day = book.sent("e1")
    book.send(day, b"void", Frequency.VOID, judge_after=True)
    book.answer()
    assert book.row(day).state == rows(book)["e1/l0"]["state"] == "open"


def test_what_was_not_done_is_still_excluded_after_a_purge(book):
    done = Intervention(line_key="l0", documented="97110", code="97110", minutes=30)
    day = book.visit("e1", on=3, interventions=(done, Intervention(line_key="l1", documented="97140", not_done=True)))
    page = {"lines": [{"line": "97110-GP x2", "units": 2, "amount_cents": 9000, "line_keys": ["e1/l0"]}]}
    book.send(day, page=page)
    book.answer()
    book.connection.execute("UPDATE treatment_day SET dirty = 0")
    before = rows(book)
    settled = book.ledger.purge.settled(CLINIC, date(2026, 12, 1), "2028-01-01", 2.1e9)
    assert book.ledger.purge.empty(CLINIC, settled, "auditor").days == 1
    after = rows(book)
    assert after["e1/l0"].pop("purged_at") and after["e1/l1"].pop("purged_at")
    assert after == {name: {key: value for key, value in row.items() if key != "purged_at"} for name, row in before.items()}
    assert (after["e1/l1"]["state"], after["e1/l1"]["reason"]) == ("excluded", "not-done")
