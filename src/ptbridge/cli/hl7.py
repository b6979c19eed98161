"""`ptbridge hl7`: a partner's HL7 v2 sample as a person reads it, and what it lacks for billing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ptbridge.cli import exit_codes, screen
from ptbridge.cli.options import json_option

if TYPE_CHECKING:
    from ptbridge.intake.hl7_sample import SampleCheck
    from ptbridge.wire.hl7_batch import Batch

MAPPING = "emrs/hl7v2_generic"

_file = click.argument("file", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
_mapping = click.option(
    "--mapping",
    "mapping",
    metavar="NAME",
    default=MAPPING,
    show_default=True,
    help="The mapping that reads it: a file or a name.",
)
_charset = click.option("--charset", metavar="NAME", help="The sender's character set (HL7 table 0211), if it never says it.")


@click.group()
def hl7() -> None:
    """Show an HL7 v2 message, or check what a sample lacks for billing."""


@hl7.command()
@_file
@_mapping
@_charset
@click.option("--phi", "with_patient", is_flag=True, help="Show what identifies the patient, too.")
@json_option
def show(file: Path, mapping: str, charset: str | None, with_patient: bool, json_wanted: bool) -> int | None:
    """Print a message as a person reads it: segments and fields by name, and what the mapping takes.

    FILE holds one message, several, or batches. What may identify a patient is masked; so is free text.
    """
    from ptbridge.errors import RecordError
    from ptbridge.intake.hl7_sample import shown
    from ptbridge.specs.mapping_files import load_mapping
    from ptbridge.wire.hl7v2 import Message

    loaded = load_mapping(mapping)
    answers: list[dict[str, Any]] = []
    for part in _messages(file).messages:
        try:
            message = Message.parse(part.raw, _known(charset))
        except RecordError as error:
            answers.append({"line": part.line, "unreadable": str(error)})
            continue
        segments = [
            {"segment": segment.name, "line": part.line + segment.line - 1, "fields": [field._asdict() for field in fields]}
            for segment, fields in shown(message, loaded, with_patient=with_patient)
        ]
        remarks = [f"{remark.where}: {remark.text}" for remark in message.remarks]
        answers.append(
            {"line": part.line, "kind": f"{message.code}^{message.trigger}", "segments": segments, "remarks": remarks}
        )
    if json_wanted:
        screen.put_json(answers)
    else:
        for answer in answers:
            _print_message(file, answer)
    return exit_codes.HELD if any("unreadable" in answer for answer in answers) else None


def _print_message(file: Path, answer: dict[str, Any]) -> None:
    from ptbridge.wire.hl7_names import segment_name

    if "unreadable" in answer:
        screen.say(f"{file.name}:{answer['line']}: unreadable: {answer['unreadable']}", bold=True)
        return
    screen.say(f"{file.name}:{answer['line']}: {answer['kind']}", bold=True)
    for segment in answer["segments"]:
        screen.say(f"\n{segment['segment']}  {segment_name(segment['segment'])}".rstrip(), bold=True)
        rows = [
            (one["path"], one["name"], one["value"], f"-> {one['taken_as']}" if one["taken_as"] else "")
            for one in segment["fields"]
        ]
        screen.say(screen.table(rows))
    for remark in answer["remarks"]:
        screen.say(f"  remark: {remark}")
    screen.say()


@hl7.command()
@_file
@_mapping
@_charset
@click.option("--time-zone", default="America/Chicago", show_default=True, help="The clinic's time zone (IANA).")
@json_option
def check(file: Path, mapping: str, charset: str | None, time_zone: str, json_wanted: bool) -> int:
    """Say what a partner's sample lacks for billing, message by message.

    Exit code 3 when a visit like one of these would wait for a person. Values are never shown.
    """
    from ptbridge.cli.mapping import _zone
    from ptbridge.intake import compile_mapping
    from ptbridge.intake.hl7_sample import check_message
    from ptbridge.specs.mapping_files import load_mapping

    batch = _messages(file)
    compiled, zone = compile_mapping(load_mapping(mapping)), _zone(time_zone)
    found = [check_message(part.raw, part.line, compiled, charset=_known(charset), time_zone=zone) for part in batch.messages]
    if json_wanted:
        screen.put_json({"batch": [f"line {problem.line}: {problem.text}" for problem in batch.problems], "messages": found})
    else:
        for problem in batch.problems:
            screen.say(f"{file.name}:{problem.line}: {problem.text}")
        for one in found:
            _print_check(file, one)
    return exit_codes.HELD if batch.problems or any(one.holds for one in found) else exit_codes.DONE


def _print_check(file: Path, found: SampleCheck) -> None:
    charges = f", {screen.count(found.charges, 'charge')}" if found.kind else ""
    screen.say(f"{file.name}:{found.line}: {found.kind or 'unreadable'}{charges}", bold=True)
    if found.unreadable:
        screen.say(screen.wrapped(f"cannot be taken: {found.unreadable}", indent="  "))
    for heading, needed in (("Lacks, and is held for it", True), ("Lacks, and goes without it", False)):
        rows = [
            (lack.where, lack.words, f"looked in {lack.looked}" if lack.looked else "the mapping names no path")
            for lack in found.lacks
            if lack.needed is needed
        ]
        if rows:
            screen.say(f"  {heading}")
            screen.say(screen.table(rows, indent="    "))
    for line in (*found.findings, *(f"remark: {remark}" for remark in found.remarks)):
        screen.say(screen.wrapped(line, indent="  ", then="    "))
    if not (found.unreadable or found.lacks or found.findings):
        screen.say("  lacks nothing that billing needs" if found.charges else "  holds no charge")


def _messages(file: Path) -> Batch:
    from ptbridge.errors import ConfigError, RecordError
    from ptbridge.intake.hl7_sample import messages_of

    try:
        return messages_of(file.read_bytes())
    except RecordError as error:
        raise ConfigError(str(error), where=file.name) from None


def _known(charset: str | None) -> str | None:
    """The character set, or a usage error for a name that HL7 table 0211 does not have."""
    from ptbridge.wire.hl7_charset import codec_for

    if charset is not None and codec_for(charset) is None:
        raise click.BadParameter(f"{charset!r} is not in HL7 table 0211 (UNICODE UTF-8, 8859/1 …)", param_hint="--charset")
    return charset
