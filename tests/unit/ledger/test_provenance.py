"""A clinic that read a sandbox stays one: in its own part of the ledger, across runs, and not by a rehearsal."""

from __future__ import annotations

from pathlib import Path

from ptbridge.ledger import Ledger


def test_it_is_remembered_once_for_its_clinic_alone_and_for_good(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        ledger.begin_run("oak")
        assert not ledger.provenance.from_sandbox("oak")
        with ledger.rehearsal():
            ledger.provenance.note_sandbox("oak")
            assert ledger.provenance.from_sandbox("oak")
        assert not ledger.provenance.from_sandbox("oak"), "a rehearsal leaves nothing"
        ledger.provenance.note_sandbox("oak")
        seq, _ = ledger.history.head()
        ledger.provenance.note_sandbox("oak")
        assert ledger.history.head()[0] == seq, "said once"
    with Ledger.open(tmp_path, write=False) as ledger:
        assert ledger.provenance.from_sandbox("oak") and not ledger.provenance.from_sandbox("elm")
        (noted,) = ledger.history.of("source", 0)
        assert noted["event"] == "sandbox-source"


def test_it_is_seen_inside_the_transaction_that_says_it(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger, ledger.transaction():
        ledger.history.add("oak", "source", 0, "sandbox-source")
        assert ledger.provenance.from_sandbox("oak")
