"""Messages for the tests, in the shape that therapy senders use. All people in them are invented."""

HEADER = "MSH|^~\\&|EMR|CLINIC|PTBRIDGE|HUB|20260304101112||DFT^P03^DFT_P03|C0001|P|2.5.1"
PATIENT = "PID|1||100^^^CLINIC^MR~123^^^SSA&2.16.840.1&ISO^SS||TESTERLY^ADA"
VISIT = "PV1|1|O|PT^^^MAIN||||1999999984^KNEEWELL^PAULA^^^^^^NPI"


def lines(*segments: str, end: str = "\r") -> bytes:
    return (end.join(segments) + end).encode()


def charge(number: int, *, code: str = "97110", units: int = 2, modifiers: str = "GP~59") -> str:
    return (
        f"FT1|{number}|T{number}||20260304|20260304|CG|LOCAL{number}^THERAPY^L|||{units}|120.00^USD|60.00^USD|PT|||||O|"
        f"M54.50^^I10~M25.561^^I10|1999999984^KNEEWELL^PAULA^^^^^^NPI|1888888885^REFERMORE||ORD{number}||{code}^^C4|{modifiers}"
    )


def p03(charges: int = 10) -> bytes:
    return lines(
        HEADER,
        "EVN|P03|20260304101112",
        PATIENT,
        VISIT,
        *(charge(number) for number in range(1, charges + 1)),
        "DG1|1||M54.50^^I10",
    )
