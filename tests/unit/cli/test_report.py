import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from ptbridge.report import render

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=1>\x1b\u202e"


def page(**more: Any) -> dict[str, Any]:
    return {
        "clinic": {"id": "northside", "name": "Northside PT"},
        "service_dates": ["2026-11-19", "2026-11-20"],
        "run": {"run": 7, "started": "2026-11-20T23:10:01Z", "finished": "2026-11-20T23:10:04+00:00"},
        "pulled_visits": 66,
        "visits": {"sent": 55, "held": 7, "excluded": 3, "quarantined": 1, "unchanged": 0, "queued": 0},
        "lines": {"sent": 188, "held": 21},
        "units_sent": 243,
        "amount_cents_sent": 987650,
        "held_days": 8,
        **more,
    }


class Reader(HTMLParser):
    """Collects tags, attributes and text; void tags need no end."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def test_the_numbers_are_there() -> None:
    text = read(render(page())).text
    for said in (
        "Northside PT",
        "2026-11-19 to 2026-11-20",
        "66",
        "$9,876.50",
        "55 visits sent.",
        "8 treatment days need a person.",
    ):
        assert said in text
    assert "2026-11-20 23:10 UTC" in text


def test_the_bar_is_in_proportion() -> None:
    bars = [attributes for tag, attributes in read(render(page())).tags if tag == "svg" and attributes.get("role") == "img"]
    assert bars[0]["aria-label"] == "Every visit: 55 sent, 7 held, 1 quarantined, 3 excluded"
    rectangles = [attributes for tag, attributes in read(render(page(lines={}))).tags if tag == "rect" and attributes.get("y")]
    starts = [float(attributes["x"] or 0) for attributes in rectangles]
    assert starts == pytest.approx([0, 1000 * 55 / 66, 1000 * 62 / 66, 1000 * 63 / 66], abs=0.01)


def everywhere(word: str) -> dict[str, Any]:
    """A page in which every text is `word`."""
    reason = {"code": word, "severity": word, "message": word, "fix": word}
    line = {"text": word, "amount_cents": 1, "because": [word]}
    day = {"service_date": word, "discipline": word, "payer": word, "fate": word, "visits": [word], "units": 1}
    day |= {"amount_cents": 1, "because": [word], "lines": [line], "exclusions": [{"procedure": word, "because": word}]}
    return page(
        clinic={"id": word, "name": word},
        service_dates=[word],
        run={word: word},
        held=[{"id": word, "service_date": word, "visits": [word], "payer": word, "reasons": [reason], "held_since": word}],
        quarantined=[{"visit_id": word, "reason": word, "first_seen_at": word}],
        payers=[{"payer": word, "days": 1, "units": 1, "amount_cents": 1}],
        disciplines=[{"discipline": word, "days": 1}],
        days=[day],
        biller={"agrees": False, "differences": [word, {word: word}]},
        errors=[word],
    )


def test_every_text_is_escaped() -> None:
    harmless = [tag for tag, _ in read(render(everywhere("plain"))).tags]
    hostile = read(render(everywhere(HOSTILE)))
    assert [tag for tag, _ in hostile.tags] == harmless
    assert not {"script", "img"} & set(harmless)
    assert not [key for _, attributes in hostile.tags for key in attributes if key.startswith("on")]
    assert "\x1b" not in hostile.text and "\u202e" not in hostile.text
    assert hostile.text.count("<script>alert(1)</script>") >= 20


def test_it_loads_nothing_and_allows_only_its_own_style() -> None:
    html = render(everywhere("plain"))
    assert not re.search(r"(?:src|href|url)\s*[=(]", html)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policies = [
        a["content"] for tag, a in read(html).tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == [f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"]
    assert " style=" not in html


def test_what_is_absent_is_left_out() -> None:
    text = read(render({})).text
    assert "Clinic" in text
    assert "$" not in text
    assert "agrees" not in text
    assert "None" not in render(page(held=[{"id": "v", "reasons": [], "payer": None}], days=[{"lines": [], "visits": ["v"]}]))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"dry_run": True}, "Nothing was sent: this was a dry run."),
        ({"visits": {"sent": 1, "queued": 1}}, "1 visit waits for the biller."),
        ({"held_days": 0}, "Nothing waits for a person."),
        ({"held_days": 0, "by_itself_days": 2}, "Nothing waits for a person. 2 treatment days are held and go by themselves."),
        ({"visits": {}, "held_days": 1}, "Nothing new was sent. 1 treatment day needs a person."),
        (
            {"answers": [{"stage": "payer", "standing": "denied", "days": 2}]},
            "2 treatment days of late were rejected or denied.",
        ),
        ({"biller": {"agrees": True, "charges": 55}}, "The biller's own count agrees."),
        ({"biller": {"agrees": False, "differences": ["x"]}}, "The biller's own count differs."),
    ],
)
def test_verdict(more: dict[str, Any], said: str) -> None:
    assert said in read(render(page(**more))).text


def test_a_quiet_run_tells_of_the_worklist_that_it_found() -> None:
    quiet = page(visits={}, lines={}, pulled_visits=0, service_dates=[], held=[{"id": "v", "reasons": []}], held_days=6)
    html = render(quiet)
    text = read(html).text
    assert "6 treatment days need a person." in text and "5 treatment days more: ptbridge held" in text
    assert "Nothing waits" not in text and 'class="verdict person"' in html
    assert "No visit is new or changed · run finished" in text and "no service dates" not in text


def test_quarantined_records_are_on_the_list() -> None:
    text = read(
        render(page(held=[], quarantined=[{"visit_id": "enc-9", "reason": "truncated JSON", "first_seen_at": ""}]))
    ).text
    assert "enc-9" in text
    assert "truncated JSON" in text


def test_a_great_day_stays_readable() -> None:
    html = render(page(days=[{"visits": [f"v{n}"], "lines": []} for n in range(2003)]))
    assert html.count("<details>") == 2000
    assert "3 more are in the ledger" in html
