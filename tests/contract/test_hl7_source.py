"""HL7 v2 as a source, end to end: messages into a real inbox, a real run and ledger, and a biller that audits itself."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ptbridge import jobs
from ptbridge.cli import main
from ptbridge.inbox import ClinicInbox, Rules
from ptbridge.plugins import connector
from ptbridge.sdk import SourceClient
from ptbridge.wire.source_client import no_server
from tests.hl7_clinic import (
    CLINIC,
    Hl7World,
    a_visit,
    adt,
    charge,
    dft,
    header,
    merge,
    note,
    patient,
    segments,
    visit,
)

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus" / "hl7v2" / "microsoft-samples"
BILLED = ["97110-GP x2 @24", "97140-GP x1 @23"]


def lines(clinic: Hl7World, visit_id: str = "V1") -> list[str]:
    return [line["line"] for line in clinic.day(visit_id)["lines"]]


def test_a_visit_bills_once_it_is_registered_charged_and_signed(clinic: Hl7World) -> None:
    clinic.receive(*a_visit())
    report = clinic.sync()
    assert report.visits["sent"] == 1 and report.lines["sent"] == 2 and not report.errors
    assert lines(clinic) == BILLED
    (answer,) = jobs.reconcile(clinic.config).values()
    assert answer["agrees"] and answer["ours"]["charges"] == 1


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_of_arrival_decides_nothing(clinic: Hl7World, order: tuple[int, ...]) -> None:
    messages = a_visit()
    for number in order:
        clinic.receive(messages[number])
        clinic.sync()
    assert clinic.day()["state"] == "sent" and lines(clinic) == BILLED
    assert clinic.live()["charges"] == 1


def test_the_same_message_again_and_the_same_content_under_a_new_id_add_nothing(clinic: Hl7World) -> None:
    clinic.receive(*a_visit())
    clinic.sync()
    again, renamed = a_visit()[1], a_visit()[1].replace(b"V1-D", b"V1-X")
    assert [one.repeated for one in clinic.receive(again, renamed)] == [True, False]
    assert clinic.sync().visits["sent"] == 0
    assert clinic.live()["events"] == {"created": 1}


def test_an_unsigned_note_holds_until_it_is_signed_and_an_older_state_changes_nothing(
    clinic: Hl7World,
) -> None:
    registered, charged, signed = a_visit()
    clinic.receive(registered, charged, note("N0", "PA", at="20261118151500-0600"))
    clinic.sync()
    assert "DC01" in clinic.held()["V1"]
    clinic.receive(signed)
    clinic.sync()
    assert clinic.day()["state"] == "sent"
    clinic.receive(note("N9", "IP", at="20261118150000-0600"))
    clinic.sync()
    assert clinic.day()["state"] == "sent" and clinic.live()["events"] == {"created": 1}


def test_a_corrected_charge_replaces_what_was_sent(clinic: Hl7World) -> None:
    clinic.receive(*a_visit())
    clinic.sync()
    corrected = charge(1, "97110", "1", "12", id_="V1-T1")
    clinic.receive(dft("V1-D2", corrected, at="20261119080000-0600"))
    clinic.sync()
    assert lines(clinic) == ["97110-GP x1 @12", "97140-GP x1 @23"]
    live = clinic.live()
    assert live["charges"] == 1 and live["units"] == 2 and live["events"]["replaced"] == 1


def test_a_credit_of_one_line_replaces_and_of_all_lines_voids(clinic: Hl7World) -> None:
    clinic.receive(*a_visit())
    clinic.sync()
    clinic.receive(dft("C1", charge(1, "97140", "1", "23", id_="V1-T2", kind="CD"), at="20261119080000-0600"))
    clinic.sync()
    assert lines(clinic) == ["97110-GP x2 @24"]
    clinic.receive(dft("C2", charge(1, "97110", "-2", "24", id_="V1-T1"), at="20261119090000-0600"))
    clinic.sync()
    assert clinic.live()["charges"] == 0 and clinic.day()["state"] == "voided"


def test_a_credit_that_comes_before_its_charge_cancels_it_and_one_of_nothing_holds(clinic: Hl7World) -> None:
    credit = dft("C1", charge(1, "97140", "1", "23", id_="V1-T2", kind="CD"), at="20261118160000-0600")
    registered, charged, signed = a_visit()
    clinic.receive(registered, signed, credit)
    clinic.sync()
    assert "MP30" in clinic.held()["V1"]
    clinic.receive(charged)
    clinic.sync()
    assert clinic.day()["state"] == "sent" and lines(clinic) == ["97110-GP x2 @24"]


@pytest.mark.parametrize("cancel", ["A11", "A23"])
def test_a_cancelled_registration_takes_back_what_was_sent(clinic: Hl7World, cancel: str) -> None:
    clinic.receive(*a_visit())
    clinic.sync()
    clinic.receive(adt(cancel, "V1-Z", at="20261119080000-0600"))
    clinic.sync()
    assert clinic.live()["charges"] == 0 and clinic.day()["state"] == "voided"


def test_a_cancellation_that_comes_first_waits_for_its_visit_and_a_later_charge_holds(clinic: Hl7World) -> None:
    clinic.receive(adt("A11", "V1-Z", at="20261118145500-0600"))
    clinic.sync()
    clinic.receive(*a_visit())
    clinic.sync()
    assert "MP31" in clinic.held()["V1"] and clinic.live()["charges"] == 0


def test_a_no_show_is_excluded_and_a_reopened_visit_is_held(clinic: Hl7World) -> None:
    booked = [header("SIU^S12", "S1", "20261110080000-0600"), "SCH|AP1|AP1|||||||||^^^20261118150000", patient(), visit("V2")]
    missed = [header("SIU^S26", "S2", "20261118160000-0600"), "SCH|AP1|AP1|||||||||^^^20261118150000", patient(), visit("V2")]
    clinic.receive(segments(*booked), segments(*missed), *a_visit())
    report = clinic.sync()
    assert report.visits["excluded"] == 1 and report.visits["sent"] == 1
    clinic.receive(adt("A13", "V1-R", at="20261119080000-0600"))
    clinic.sync()
    assert "DC03" in clinic.held()["V1"] and clinic.live()["charges"] == 1


def test_a_booked_visit_without_a_charge_is_listed_once_its_day_is_over(clinic: Hl7World) -> None:
    past = [header("SIU^S12", "S1", "20261101080000-0600"), "SCH|AP1|AP1|||||||||^^^20261105150000", patient(), visit("V2")]
    future = [header("SIU^S12", "S2", "20261101080000-0600"), "SCH|AP2|AP2|||||||||^^^20991105150000", patient(), visit("V3")]
    clinic.receive(segments(*past), segments(*future))
    report = clinic.sync()
    assert set(clinic.held()) == {"V2"} and report.visits["held"] == 1
    assert clinic.sync().visits["held"] <= 1 and set(clinic.held()) == {"V2"}


def test_charges_before_their_adt_are_held_where_the_sender_always_sends_one(clinic: Hl7World) -> None:
    clinic.option('expects_adt: "yes"')
    clinic.option('adt_wait_hours: "0"')
    registered, charged, signed = a_visit()
    clinic.receive(charged, signed)
    clinic.sync()
    assert "MP34" in clinic.held()["V1"]
    clinic.receive(registered)
    clinic.sync()
    assert clinic.day()["state"] == "sent"


@pytest.mark.parametrize("numbered", [True, False])
def test_charges_wait_for_their_adt_and_are_held_when_it_does_not_come(clinic: Hl7World, numbered: bool) -> None:
    charged = a_visit()[1]
    if not numbered:
        charged = b"\r".join(line for line in charged.split(b"\r") if not line.startswith(b"PV1"))
    now = datetime.now(UTC)
    clinic.receive(charged)

    def pulled(cursor: dict[str, str], hours: float) -> tuple[list[str], dict[str, str]]:
        async def run() -> tuple[list[str], dict[str, str]]:
            found, at = [], cursor
            with ClinicInbox.open(clinic.config.state, CLINIC) as inbox:
                client = SourceClient(
                    fhir=no_server(),
                    clinic=CLINIC,
                    source="hl7v2",
                    time_zone=ZoneInfo("America/Chicago"),
                    inbox=inbox,
                    options={"expects_adt": "yes"},
                    clock=lambda: now + timedelta(hours=hours),
                )
                async for batch in connector("hl7v2").pull(client, cursor):
                    found += [b"early" in record.payload[:20] for record in batch.records]
                    at = dict(batch.cursor or at)
            return found, at

        return asyncio.run(run())

    first, cursor = pulled({}, 1)
    second, cursor = pulled(cursor, 23)
    third, cursor = pulled(cursor, 25)
    fourth, cursor = pulled(cursor, 26)
    assert (first, second, third, fourth) == ([], [], [True], [])


def test_an_adt_that_comes_in_time_releases_the_charges(clinic: Hl7World) -> None:
    clinic.option('expects_adt: "yes"')
    registered, charged, signed = a_visit()
    clinic.receive(charged, signed)
    assert sum(clinic.sync().visits.values()) == 0  # nobody is asked for anything yet
    clinic.receive(registered)
    assert clinic.sync().visits["sent"] == 1


@pytest.mark.parametrize("trigger", ["A29", "A37"])
def test_a_record_that_was_deleted_or_unlinked_holds_what_is_pending_until_it_is_sent_again(
    clinic: Hl7World, trigger: str
) -> None:
    registered, charged, signed = a_visit()
    clinic.receive(registered, charged)
    clinic.sync()
    other = patient("M900").replace("PID|1|", "PID|2|")
    clinic.receive(
        segments(header(f"ADT^{trigger}", "R1"), f"EVN|{trigger}|20261118", patient(), *([other] * (trigger == "A37")))
    )
    clinic.sync()
    assert "MP38" in clinic.held()["V1"]
    clinic.receive(signed)  # the sender says more of the visit: it stands by it
    assert clinic.sync().visits["sent"] == 1


@pytest.mark.parametrize("trigger", ["A29", "A37"])
def test_a_record_that_was_deleted_after_the_charge_left_is_a_finding_and_the_charge_stays(
    clinic: Hl7World, trigger: str
) -> None:
    clinic.receive(*a_visit(), *(raw.replace(b"M100", b"M200") for raw in a_visit("V2")))
    clinic.sync()
    clinic.receive(segments(header(f"ADT^{trigger}", "R1"), f"EVN|{trigger}|20261118", patient()))
    clinic.sync()
    assert set(clinic.held()) == {"V1"} and "MP38" in clinic.held()["V1"]
    assert clinic.live()["charges"] == 2 and clinic.live()["events"] == {"created": 2}


def test_the_second_insurance_is_the_second_coverage(clinic: Hl7World) -> None:
    second = "IN1|2|AET^Aetna|60054^^^PAYERS|Aetna||||||||20200101||||Quill^Dana|SEL|" + "|" * 18 + "W55"
    registered, charged, signed = (raw.replace(b"\rIN1|1", f"\r{second}\rIN1|1".encode()) for raw in a_visit())
    clinic.receive(registered, charged, signed)
    clinic.sync()
    (stored,) = stored_visits(clinic)
    found = [(one.order, one.payer_id, one.member_id) for one in stored.coverages]
    assert found == [(1, "MCR-B", "1EG4TE5MK73"), (2, "60054", "W55")]


def test_a_merge_moves_a_pending_visit_and_is_followed_through_chains_and_replays(clinic: Hl7World) -> None:
    registered, charged, signed = a_visit()
    clinic.receive(registered, charged)
    clinic.sync()
    clinic.receive(merge("M1", "M100", "M200"), merge("M2", "M200", "M300", at="20261119100000-0600"))
    clinic.receive(merge("M3", "M100", "M200", at="20261119110000-0600"))
    clinic.receive(signed)
    clinic.sync()
    assert clinic.day()["state"] == "sent"
    (stored,) = stored_visits(clinic)
    assert stored.patient.id == "M300" and stored.patient.mrn == "M300" and not stored.patient.replaced_by


def stored_visits(clinic: Hl7World) -> list:
    from ptbridge.ledger import Ledger

    with Ledger.open(clinic.config.state, write=False) as ledger:
        days = [int(row[0]) for row in ledger._connection.execute("SELECT id FROM treatment_day")]
        return [one.visit for day in days for one in ledger.visits.of_day(day)]


def test_a_merge_after_the_charge_left_is_a_finding_and_the_charge_stays(clinic: Hl7World) -> None:
    clinic.receive(*a_visit())
    clinic.sync()
    clinic.receive(merge("M1", "M100", "M200"))
    clinic.sync()
    assert "MP06" in clinic.held()["V1"]
    assert clinic.live()["charges"] == 1 and clinic.live()["events"] == {"created": 1}
    (stored,) = stored_visits(clinic)
    assert stored.patient.id == "M100" and stored.patient.replaced_by == "M200"


def test_insurance_that_comes_with_the_person_alone_fills_the_gap(clinic: Hl7World) -> None:
    registered, charged, signed = ([line for line in raw.split(b"\r") if not line.startswith(b"IN1")] for raw in a_visit())
    clinic.receive(b"\r".join(registered), b"\r".join(charged), b"\r".join(signed))
    clinic.sync()
    assert clinic.day()["state"] == "held"
    known = adt("A31", "P1", at="20261118190000-0600").split(b"\r")
    clinic.receive(b"\r".join(line for line in known if not line.startswith(b"PV1")))
    clinic.sync()
    assert clinic.day()["state"] == "sent"


@pytest.mark.parametrize("processing", ["T", "D"])
def test_test_messages_never_bill(clinic: Hl7World, processing: str) -> None:
    clinic.receive(*(raw.replace(b"|P|2.5.1", f"|{processing}|2.5.1".encode()) for raw in a_visit()))
    report = clinic.sync()
    assert sum(report.visits.values()) == 0 and clinic.live()["charges"] == 0
    with ClinicInbox.open(clinic.config.state, CLINIC) as inbox:
        assert inbox.counts()[f"ignored DFT^P03: processing id {processing}"] == 1


def test_shifted_fields_are_quarantined_with_the_field_and_a_good_message_later_needs_a_person(clinic: Hl7World) -> None:
    registered, charged, signed = a_visit()
    shifted = charged.replace(b"|CG|CM97140", b"|20261118|CG").replace(b"V1-D", b"V1-S")
    clinic.receive(registered, shifted, signed)
    assert clinic.sync().visits["quarantined"] == 1
    (row,) = jobs.held(clinic.config)
    assert "FT1[2]-6" in row["reasons"][0]["message"]
    clinic.receive(charged.replace(b"170000-0600", b"180000-0600"))
    clinic.sync()
    assert "MP33" in clinic.held()["V1"] and clinic.live()["charges"] == 0


def test_a_damaged_message_is_quarantined_by_itself(clinic: Hl7World) -> None:
    clinic.receive(b"hello world", *a_visit())
    report = clinic.sync()
    assert report.visits["quarantined"] == 1 and report.visits["sent"] == 1
    assert clinic.held()["message-1"] == {"MP90"}


def test_a_number_that_spans_many_days_holds_unless_each_day_is_a_visit(clinic: Hl7World) -> None:
    registered, _, signed = a_visit()
    first = charge(1, "97110", "2", "24", id_="T1"), charge(2, "97140", "1", "23", id_="T2")
    second = charge(1, "97110", "2", "24", id_="T3", on="20261119"), charge(2, "97140", "1", "23", id_="T4", on="20261119")
    clinic.receive(registered, signed, dft("D1", *first), dft("D2", *second, at="20261119170000-0600"))
    clinic.sync()
    assert "MP35" in clinic.held()["V1"]
    clinic.option("visit_by: visit-day")
    forget_cursor(clinic)
    clinic.sync()
    assert clinic.day("V1@2026-11-18")["state"] == clinic.day("V1@2026-11-19")["state"] == "sent"
    assert lines(clinic, "V1@2026-11-19") == BILLED and not clinic.held()


def test_a_visit_number_with_a_slash_is_one_visit(clinic: Hl7World) -> None:
    clinic.receive(*a_visit("24/117"))
    assert clinic.sync().visits["sent"] == 1 and lines(clinic, "24%2F117") == BILLED


def forget_cursor(clinic: Hl7World) -> None:
    from ptbridge.ledger import Ledger

    with Ledger.open(clinic.config.state) as ledger:
        ledger._connection.execute("DELETE FROM cursor")


def test_charges_without_a_visit_number_are_kept_by_patient_and_day(clinic: Hl7World) -> None:
    def bare(raw: bytes) -> bytes:
        return raw.replace(b"V1^^^LAKE^VN", b"")

    _, charged, _ = a_visit()
    clinic.receive(bare(charged), bare(charged).replace(b"V1-D", b"V1-E"))
    report = clinic.sync()
    assert sum(report.visits.values()) == 1 and report.pulled_lines == 2
    (key,) = clinic.held()
    assert key.startswith("day-") and "M100" not in key


def test_charges_in_orders_bill_only_where_that_is_said(clinic: Hl7World) -> None:
    order = segments(header("ORM^O01", "O1"), patient(), visit("V5"), "ORC|RE|1", "OBR|1||1|X", *charge(1, "97110", "2", "24"))
    clinic.receive(order)
    assert sum(clinic.sync().visits.values()) == 0
    clinic.receive(order.replace(b"O1|P", b"O2|P"), rules=Rules(charges_from=frozenset({"ORM"})))
    clinic.option("charges_from: [ORM]")
    clinic.sync()
    assert lines(clinic, "V5") == ["97110-GP x2 @24"]


def test_snapshots_replace_what_was_charged_before(clinic: Hl7World) -> None:
    clinic.option("charges: snapshot")
    clinic.receive(*a_visit())
    clinic.sync()
    clinic.receive(dft("V1-D2", charge(1, "97110", "2", "24"), at="20261119080000-0600"))
    clinic.sync()
    assert lines(clinic) == ["97110-GP x2 @24"] and clinic.live()["charges"] == 1


def test_files_of_a_drop_folder_are_taken_by_the_run_itself(clinic: Hl7World) -> None:
    clinic.option("drop_folder: incoming")
    clinic.option('settle_seconds: "0"')
    folder = clinic.world.folder / "incoming"
    folder.mkdir()
    batch = b"FHS|^~\\&\rBHS|^~\\&\r" + b"".join(a_visit()) + b"BTS|3\rFTS|1\r"
    (folder / "day.hl7").write_bytes(batch)
    assert clinic.sync(dry_run=True).visits["sent"] == 0 and (folder / "day.hl7").exists()
    assert clinic.sync().visits["sent"] == 1
    assert [path.name for path in (folder / "processed").iterdir()] == ["day.hl7"]


def test_a_file_that_cannot_be_read_is_told_by_every_run_until_somebody_takes_it_away(
    clinic: Hl7World, capsys: pytest.CaptureFixture[str]
) -> None:
    clinic.option("drop_folder: incoming")
    clinic.option('settle_seconds: "0"')
    folder = clinic.world.folder / "incoming"
    folder.mkdir()
    assert not clinic.sync().quarantined
    (folder / "Quill.hl7").write_bytes(b"no message")
    for _ in range(2):
        assert main(["sync", "--config", str(clinic.world.folder)]) == 3
        said = capsys.readouterr().out
        assert "1 file holds something that could not be read" in said and str(folder / "errors") in said
        assert "Quill" not in said, "a file's name may be a patient's"
    for file in (folder / "errors").iterdir():
        file.unlink()
    assert clinic.sync().exit_code == 0


def test_connector_check_says_what_is_in_the_inbox(clinic: Hl7World) -> None:
    import asyncio

    from ptbridge.jobs.peers import open_source
    from ptbridge.plugins import connector

    async def ask() -> list[str]:
        async with open_source(clinic.config, clinic.config.clinics[CLINIC]) as client:
            return await connector("hl7v2").check(client)

    assert any("no inbox yet" in sentence for sentence in asyncio.run(ask()))
    clinic.receive(*a_visit())
    assert "1 taken DFT^P03" in asyncio.run(ask())


# ---------------------------------------------------------------- messages that nobody here wrote

needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="the public corpus is not here")


@needs_corpus
def test_every_public_message_ends_somewhere_and_none_becomes_a_charge(clinic: Hl7World) -> None:
    messages = [path.read_bytes() for path in sorted(CORPUS.iterdir())]
    assert len(messages) == 139
    clinic.receive(*messages)
    report = clinic.sync()
    assert not report.errors and report.visits["sent"] == report.visits["queued"] == 0
    assert clinic.live()["charges"] == 0
    with ClinicInbox.open(clinic.config.state, CLINIC) as inbox:
        counts = inbox.counts()
        assert sum(counts.values()) == 139
        assert counts["ignored ORM^O01: charges in ORM"] == 5
        charged = {key for key in stored_visits(clinic) if key.interventions}
        assert {line.code for one in charged for line in one.interventions} <= {"71045", "99011", "92002"}


@needs_corpus
@pytest.mark.parametrize("name", sorted(path.name for path in CORPUS.iterdir()) if CORPUS.is_dir() else [])
def test_each_public_message_by_itself_reads_or_is_recorded(tmp_path: Path, name: str) -> None:
    from tests.hl7_clinic import read_one

    visit_ = read_one(tmp_path, (CORPUS / name).read_bytes())
    if visit_ is not None and not name.startswith("DFT"):
        assert visit_.interventions == ()


@needs_corpus
def test_the_known_answers_of_the_public_dft(tmp_path: Path) -> None:
    from tests.hl7_clinic import read_one

    one = read_one(tmp_path, (CORPUS / "DFT-P03-01.hl7").read_bytes())
    assert one is not None and one.service_date is not None and one.rendering is not None
    assert one.service_date.isoformat() == "2019-11-22" and one.rendering.npi == "9941339108"
    first, second = one.interventions
    assert (first.code, first.modifiers, first.units_documented) == ("71045", ("26",), 2)
    assert first.diagnosis_codes == ("29857009", "68235000")
    assert (second.code, second.units_documented) == ("99011", 1)  # FT1-25, not the diagnosis code in FT1-7
