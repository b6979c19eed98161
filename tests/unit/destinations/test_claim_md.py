"""claim_md: one upload, one claim; found again in the feed; corrected by number; told what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import orjson
import pytest
from ptbridge_sandbox.biller_faults import Faults
from ptbridge_sandbox.claim_md import SandboxClaimMd

from ptbridge.destinations._claim_md_document import (
    control_number,
    file_name,
    line_of,
    read_remote_id,
    reference_of_control,
    units_of_file,
)
from ptbridge.destinations.claim_md import ClaimMd
from ptbridge.errors import ConfigError, PeerRefused, PeerUnavailable
from ptbridge.model import Disposition, Provider, Stage, Standing
from tests.rigs import BILLING, CLAIMS, MARKERS, a_day, servers, submission
from tests.rigs.servers import DATES, NOBODY, REFERENCE, TENTH, Scene, bad_day, told
from tests.unit.destinations.claim_days import full_day, of_visit, two_visits, with_lines

KEY = "12345_a*key@with+odd&signs"
ACCIDENT = {"accident_date_field": "cond_date", "accident_claim_field": "auth_code_1"}


def build(address: str = NOBODY, key: str = KEY, **options: str) -> ClaimMd:
    made: ClaimMd = servers.built("claim_md", address, options, method="form_key", secret=key)
    return made


def play(scene: Callable[[Scene], Awaitable[None]], options: dict[str, str] | None = None, **server: Any) -> None:
    pretended = SandboxClaimMd(key=KEY, **server)

    def rebuild(**more: str) -> ClaimMd:
        return build(pretended.base_url, **{"find_lag_seconds": "0", **(options or {}), **more})

    servers.play(pretended, rebuild, scene)


# ---------------------------------------------------------------- what is written


def test_a_day_in_claim_mds_words():
    async def scene(it: Scene):
        (claim,) = orjson.loads(it.send(full_day()).body)["claim"]
        assert claim["remote_claimid"].startswith(f"{REFERENCE}-1") and claim["pcn"] == "PT0123456789ABCDE"
        assert (claim["diag_1"], claim["diag_2"], claim["total_charge"]) == ("M5450", "S83511A", "120.00")
        assert (claim["pat_sex"], claim["pat_dob"], claim["pat_rel"], claim["ins_number"]) == (
            "F",
            "1931-07-09",
            "18",
            "MEMQXZ7",
        )
        rendering = a_day().day.visits[0].rendering
        assert (claim["bill_taxid"], claim["bill_taxid_type"], claim["bill_zip"]) == ("123456789", "E", "432151234")
        assert (claim["prov_name_f"], claim["prov_name_l"], claim["prov_npi"]) == ("Pat", "Therapist", rendering.npi)
        assert (claim["supv_prov_name_l"], claim["auto_accident"], claim["auto_accident_state"]) == ("Super", "Y", "OH")
        assert (claim["cond_date"], claim["auth_code_1"]) == ("2026-10-20", "CLMQXZ5")
        assert claim["charge"][0] == {
            "remote_chgid": "PT0123456-1",
            "charge_record_type": "UN",
            "proc_code": "97110",
            "mod1": "GP",
            "mod2": "KX",
            "units": "2",
            "charge": "60.00",
            "from_date": "2026-11-02",
            "thru_date": "2026-11-02",
            "place_of_service": "11",
            "diag_ref": "AB",
        }
        assert claim["ref_npi"] == a_day().day.visits[0].referring.npi and claim["ref_name_l"]
        assert not {"frequency_code", "icn_dcn_1"} & claim.keys()
        assert all(isinstance(value, str) for name, value in claim.items() if name != "charge")

    play(scene, ACCIDENT)


def test_names_lead_back_and_hold_no_patient_data():
    async def scene(it: Scene):
        first, second = it.send(full_day()), it.send(a_day())
        names = [orjson.loads(one.body)["claim"][0]["remote_claimid"] for one in (first, second)]
        assert names[0] != names[1], "another content is another name"
        assert [read_remote_id(name) for name in names] == [(REFERENCE, "1")] * 2
        assert names[0] == orjson.loads(it.send(full_day(), revision=5).body)["claim"][0]["remote_claimid"]
        assert units_of_file(file_name(first.body)) == 4 and units_of_file("837.txt") is None
        assert REFERENCE.startswith(reference_of_control(control_number(REFERENCE)) or "none")
        assert line_of("PT0123456-12") == 12 and line_of("theirs") is None
        assert read_remote_id("theirs") is None and reference_of_control("PIDQXZ1") is None
        assert not any(marker in name for marker in MARKERS for name in (*names, file_name(first.body)))

    play(scene, ACCIDENT)


def test_a_correction_names_the_payers_claim():
    async def scene(it: Scene):
        (claim,) = orjson.loads(it.send(a_day(4), frequency="7", original_id="ICN9").body)["claim"]
        assert (claim["frequency_code"], claim["icn_dcn_1"]) == ("7", "ICN9")
        (void,) = orjson.loads(it.send(a_day(4), frequency="8", original_id="ICN9").body)["claim"]
        assert (void["frequency_code"], void["icn_dcn_1"], void["total_charge"]) == ("8", "ICN9", "150.00")
        assert len({claim["remote_claimid"], void["remote_claimid"]}) == 2

    play(scene)


@pytest.mark.parametrize(
    ("day", "billing", "where"),
    [
        (a_day(), {"tax_id": "123456789"}, "billing_provider.tax_id"),
        (a_day(), {"phone": None}, "billing_provider.phone"),
        (of_visit(a_day(), rendering=Provider(npi="1558395212", name="Therapist")), {}, "visit.rendering.name"),
        (of_visit(a_day(), referring=Provider(npi="1477550012")), {}, "visit.referring.name"),
        (full_day(), {}, "destination.options.accident_date_field"),
    ],
)
def test_what_is_not_known_for_claim_md_is_held(day, billing, where):
    async def scene(it: Scene):
        it.destination._billing = msgspec.structs.replace(BILLING, **billing)
        assert where in [finding.where for finding in it.destination.lacks(day)]

    play(scene)


@pytest.mark.parametrize(
    "options", [{"find_lag_seconds": "soon"}, {"feed_from": "x"}, {"remittances": "maybe"}, {"colour": "red"}]
)
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(ConfigError):
        build(**options)


def test_a_look_up_is_believed_after_an_hour_unless_the_clinic_says_otherwise():
    async def scene(it: Scene):
        assert it.destination.capabilities.find_lag_seconds == 0
        assert ClaimMd(it.destination._api._http, BILLING, CLAIMS, {}).capabilities.find_lag_seconds == 3600

    play(scene)


# ---------------------------------------------------------------- the key


def test_the_account_key_goes_with_every_form_and_stands_in_no_stored_bytes():
    async def scene(it: Scene):
        sent = it.send(a_day())
        assert KEY.encode() not in sent.body
        assert (await it.destination.submit(sent)).disposition is Disposition.ACCEPTED
        assert await it.destination.check() and await it.destination.find(sent)
        assert it.server.requests["unauthorized"] == 0

    play(scene)


def test_a_wrong_key_is_refused_and_not_repeated_in_words():
    async def scene(it: Scene):
        other = it.reopened(key="not-the-key")
        answer = await other.submit(it.send(a_day()))
        assert (answer.disposition, answer.native_code) == (Disposition.IN_DOUBT, "AccountKey")
        for ask in (other.check(), other.find(it.send(a_day()))):
            with pytest.raises(PeerRefused) as caught:
                await ask
            assert "not-the-key" not in str(caught.value)
        assert it.server.claims == []

    play(scene)


# ---------------------------------------------------------------- doubts


@pytest.mark.parametrize("fault", ["lose_answer", "wrong_reference", "html_answer", "error_after_commit"])
def test_an_answer_that_does_not_name_the_claim_is_a_doubt_that_the_feed_settles(fault):
    async def scene(it: Scene):
        it.server.faults = Faults(**{fault: 1.0})
        sent = it.send(a_day())
        assert (await it.destination.submit(sent)).disposition is Disposition.IN_DOUBT
        it.server.faults = Faults()
        found = await it.reopened().find(sent)
        assert (found.disposition, found.destination_id) == (Disposition.ACCEPTED, "1")

    play(scene)


def test_a_rejection_whose_answer_was_lost_is_found_as_one():
    async def scene(it: Scene):
        it.server.faults = Faults(lose_answer=1.0, refuse=1.0)
        sent = it.send(a_day())
        assert (await it.destination.submit(sent)).disposition is Disposition.IN_DOUBT
        found = await it.destination.find(sent)
        assert (found.disposition, found.native_code) == (Disposition.REJECTED, "SBX1")

    play(scene)


def test_another_revision_is_not_taken_for_this_one():
    async def scene(it: Scene):
        await it.destination.submit(it.send(a_day()))
        assert await it.destination.find(it.send(a_day(4), revision=2)) is None

    play(scene)


def test_busy_is_not_taken():
    async def scene(it: Scene):
        it.server.faults = Faults(busy=1.0, retry_after="9")
        answer = await it.destination.submit(it.send(a_day()))
        assert (answer.disposition, answer.native_code, answer.retry_after_seconds) == (Disposition.RETRY, "429", 9.0)
        assert it.server.claims == []

    play(scene)


def test_a_feed_that_does_not_answer_is_an_outage():
    async def scene(it: Scene):
        await it.server.stop()
        with pytest.raises(PeerUnavailable):
            await it.destination.find(it.send(a_day()))
        await it.server.start()

    play(scene)


@pytest.mark.parametrize("lag_seconds", [0, 0.2])
def test_a_bad_day_at_claim_md_loses_and_doubles_nothing(lag_seconds):
    """No key, no duplicate check: the feed alone, waited for as long as it lags, keeps each claim single."""
    faults = Faults(**TENTH, answer_delay_seconds=0.002, find_lag_seconds=lag_seconds)

    async def scene(it: Scene):
        await bad_day(it.destination, it.server, [f"oak-{number}" for number in range(80)])
        it.server.faults = Faults()
        assert len(await it.reopened().list_references(DATES)) == 80

    play(scene, {"find_lag_seconds": "1" if lag_seconds else "0"}, faults=faults)


# ---------------------------------------------------------------- corrections


def test_a_correction_leaves_one_claim_and_the_list_shows_it():
    async def scene(it: Scene):
        await it.destination.submit(it.send(a_day()))
        number = it.server.payer_accepts(REFERENCE)
        correction = it.send(a_day(4), revision=2, frequency="7", original_id=number)
        assert (await it.destination.submit(correction)).disposition is Disposition.ACCEPTED
        it.server.live_claim(REFERENCE)
        it.server._say(it.server.claims[0], "A", "STA", "replaced", by_payer=True)  # a late word about the first one
        assert await it.reopened().list_references(DATES) == {REFERENCE: (5, 15000)}
        assert await it.destination.list_references(("2026-11-03", "2026-11-30")) == {}
        void = it.send(a_day(4), revision=3, frequency="8", original_id=it.server.payer_accepts(REFERENCE))
        assert (await it.destination.submit(void)).disposition is Disposition.ACCEPTED
        assert await it.destination.list_references(DATES) == {} and it.server.summary()["charges"] == 0

    play(scene)


def test_a_correction_without_the_payers_number_is_rejected_there():
    async def scene(it: Scene):
        await it.destination.submit(it.send(a_day()))
        answer = await it.destination.submit(it.send(a_day(4), revision=2, frequency="7", original_id="ICN404"))
        assert (answer.disposition, answer.native_code) == (Disposition.REJECTED, "ICN")
        assert it.server.summary()["units"] == 3

    play(scene)


def test_what_was_rejected_is_gone_and_goes_again_as_an_original():
    async def scene(it: Scene):
        await it.destination.submit(it.send(a_day()))
        it.server.payer_rejects(REFERENCE, "A7", "ins_number: not on file")
        assert await it.destination.list_references(DATES) == {}
        assert (await it.destination.submit(it.send(a_day(4), revision=2))).disposition is Disposition.ACCEPTED
        assert await it.destination.list_references(DATES) == {REFERENCE: (5, 15000)}

    play(scene)


# ---------------------------------------------------------------- what is said later


def test_the_feed_is_told_in_stages_page_by_page():
    async def scene(it: Scene):
        await it.destination.submit(it.send(a_day()))
        number = it.server.payer_accepts(REFERENCE)
        it.server.payer_rejects(REFERENCE, "A7", "ins_number: not on file")
        said, cursor = await told(it.destination, {})
        assert [(one.stage, one.standing, one.reference) for one in said] == [
            (Stage.CLEARINGHOUSE, Standing.ACCEPTED, REFERENCE),
            (Stage.PAYER, Standing.ACCEPTED, REFERENCE),
            (Stage.PAYER, Standing.REJECTED, REFERENCE),
        ]
        assert [one.payer_claim_number for one in said] == [None, number, number]
        assert [(code.system, code.code, code.text) for code in said[2].codes] == [
            ("claim_md.status", "R", ""),
            ("claim_md.message", "A7", "ins_number: not on file"),
        ]
        assert cursor == {"response_id": "3", "era_id": "0"}
        assert (await told(it.destination, cursor))[0] == [], "a cursor at the end brings nothing"
        assert len((await told(it.destination, {"response_id": "2", "era_id": "0"}))[0]) == 1
        assert {one.destination_id for one in said} == {"1"}

    play(scene, page=2)


def test_other_claims_of_the_account_are_not_ours_to_tell():
    async def scene(it: Scene):
        await it.destination.submit(it.send(a_day()))
        it.server.feed[0]["remote_claimid"] = "837-7"
        assert (await told(it.destination, {}))[0] == [] and await it.destination.list_references(DATES) == {}

    play(scene)


def test_a_remittance_is_told_for_the_claim_and_for_each_line():
    async def scene(it: Scene):
        await it.destination.submit(it.send(with_lines(a_day(), "97110-GP x2", "97140-GP x1")))
        number = it.server.payer_accepts(REFERENCE)
        it.server.pay(
            REFERENCE,
            [
                {"paid": "38.40", "adjustment": [{"group": "PR", "code": "2", "amount": "9.60"}, _cut("12.00", "45")]},
                {"paid": "0.00", "adjustment": _cut("30.00", "97")},
            ],
        )
        said, cursor = await told(it.destination, {})
        whole, first, second = (one for one in said if one.stage is Stage.REMITTANCE)
        assert (whole.standing, whole.payer_claim_number) == (Standing.PAID, number)
        assert REFERENCE.startswith(whole.reference) and len(whole.reference) == 18
        assert (whole.charged_cents, whole.paid_cents, whole.adjusted_cents, whole.patient_cents) == (9000, 3840, 5160, 960)
        assert (first.line, first.procedure, first.standing, first.patient_cents) == (1, "97110", Standing.PAID, 960)
        assert (second.line, second.standing, [code.code for code in second.codes]) == (2, Standing.DENIED, ["CO-97"])
        assert cursor["era_id"] == "1" and (await told(it.destination, cursor))[0] == []

    play(scene)


@pytest.mark.parametrize(
    ("status", "paid", "code", "standing"),
    [
        ("4", "0.00", "97", Standing.DENIED),
        ("1", "0.00", "97", Standing.DENIED),
        ("1", "0.00", "1", Standing.PAID),
        ("22", "-60.00", "45", Standing.PENDING),
    ],
)
def test_a_decision_is_read_from_the_status_and_the_reasons(status, paid, code, standing):
    async def scene(it: Scene):
        await it.destination.submit(it.send(with_lines(a_day(), "97110-GP x2")))
        it.server.pay(REFERENCE, [{"paid": paid, "adjustment": _cut("60.00", code)}], status_code=status)
        said, _ = await told(it.destination, {})
        decided = [one for one in said if one.stage is Stage.REMITTANCE]
        assert decided[0].standing is standing and ("CLP02", status) in {(c.system, c.code) for c in decided[0].codes}
        assert len(decided) == (1 if status == "22" else 2), "a reversal is not told line by line"

    play(scene)


def test_remittances_can_be_left_to_another_way():
    async def scene(it: Scene):
        await it.destination.submit(it.send(a_day()))
        it.server.pay(REFERENCE, [{"paid": "1.00"}, {"paid": "1.00"}])
        assert {one.stage for one in (await told(it.destination, {}))[0]} == {Stage.CLEARINGHOUSE}

    play(scene, {"remittances": "no"})


def _cut(amount: str, code: str) -> dict[str, str]:
    return {"group": "CO", "code": code, "amount": amount}


@pytest.mark.parametrize("fault", ["number", "error"])
def test_a_feed_that_is_none_is_an_outage_and_no_answer(fault):
    async def scene(it: Scene):
        await it.destination.submit(it.send(a_day()))
        it.server.feed_fault = fault
        with pytest.raises(PeerUnavailable):
            await it.destination.find(it.send(a_day()))

    play(scene)


def test_a_feed_without_our_file_name_cannot_be_counted():
    async def scene(it: Scene):
        await it.destination.submit(it.send(a_day()))
        it.server.feed[0]["filename"] = "renamed.txt"
        with pytest.raises(PeerUnavailable, match="file name"):
            await it.destination.list_references(DATES)

    play(scene)


def test_the_auditor_of_the_pretend_claim_md_sees_a_double():
    """The same upload twice stands twice: what the other tests rely on not happening."""

    async def scene():
        async with SandboxClaimMd() as server:
            made = build(server.base_url)
            for _ in range(2):
                await made.submit(submission(made, reference="oak-1"))
            await made.close()
            return server.violations

    assert asyncio.run(scene()) == ["oak-1: 2 live claims"]


def test_an_answer_without_a_status_is_a_doubt():
    async def scene(it: Scene):
        sent = it.send(a_day())
        it.server.faults = Faults(lose_answer=1.0)
        await it.destination.submit(sent)
        it.server.feed[0]["status"] = ""
        assert (await it.destination.find(sent)).disposition is Disposition.IN_DOUBT

    play(scene)


def test_authorizations_of_two_visits_stand_on_their_lines():
    async def scene(it: Scene):
        (claim,) = orjson.loads(it.send(two_visits("AUTH1", "AUTH2")).body)["claim"]
        assert [line["chg_prior_auth"] for line in claim["charge"]] == ["AUTH1", "AUTH2"] and "prior_auth" not in claim
        (claim,) = orjson.loads(it.send(two_visits("AUTH1", None)).body)["claim"]
        assert claim["prior_auth"] == "AUTH1" and not any("chg_prior_auth" in line for line in claim["charge"])

    play(scene)
