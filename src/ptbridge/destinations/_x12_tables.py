"""005010X222A1 (837P) as far as outpatient therapy uses it: loops and segments in the guide's order.

Source: X12 005010X222A1; order and usage as in the map `837.5010.X222.A1.xml` of pyx12, which judges what is written in the
tests. One transaction set holds one treatment day: billing provider, subscriber, the patient where that is another person,
then its claims.
"""

from __future__ import annotations

from ptbridge.destinations._x12_rows import table

TRANSACTION = table("""
HEADER  R  ST*837*{transaction}*005010X222A1
HEADER  R  BHT*0019*00*{batch}*{date}*{time}*CH
1000A   R  NM1*41*2*{submitter_name}*****46*{submitter_id}
1000A   R  PER*IC*{contact}*TE*{phone}
1000B   R  NM1*40*2*{receiver_name}*****46*{receiver_id}
""")

_BILLING = table("""
2000A   R  HL*1**20*1
2000A   S  PRV*BI*PXC*{billing_taxonomy}
2010AA  R  NM1*85*2*{billing_name}*****XX*{billing_npi}
2010AA  R  N3*{billing_street}*{billing_street_2?}
2010AA  R  N4*{billing_city}*{billing_state}*{billing_zip}
2010AA  R  REF*{tax_kind}*{tax_id}
""")

# The patient is the subscriber: birth date, sex and address stand with the subscriber.
DAY = _BILLING + table("""
2000B   R  HL*2*1*22*0
2000B   R  SBR*P*18*{group_number?}******{filing}
2010BA  R  NM1*IL*1*{family}*{given?}****MI*{member_id}
2010BA  R  N3*{patient_street}*{patient_street_2?}
2010BA  R  N4*{patient_city}*{patient_state}*{patient_zip}
2010BA  R  DMG*D8*{birth_date}*{sex}
2010BA  S  REF*Y4*{property_claim_number}
2010BB  R  NM1*PR*2*{payer_name}*****PI*{payer_id}
""")

# The patient is another person: the guide wants of the subscriber a name, and the patient's facts in a loop of its own.
DAY_OF_DEPENDENT = _BILLING + table("""
2000B   R  HL*2*1*22*1
2000B   R  SBR*P**{group_number?}******{filing}
2010BA  R  NM1*IL*1*{subscriber_family}*{subscriber_given?}****MI*{member_id}
2010BB  R  NM1*PR*2*{payer_name}*****PI*{payer_id}
2000C   R  HL*3*2*23*0
2000C   R  PAT*{patient_relationship}
2010CA  R  NM1*QC*1*{family}*{given?}
2010CA  R  N3*{patient_street}*{patient_street_2?}
2010CA  R  N4*{patient_city}*{patient_state}*{patient_zip}
2010CA  R  DMG*D8*{birth_date}*{sex}
2010CA  S  REF*Y4*{property_claim_number}
""")

CLAIM = table("""
2300    R  CLM*{control}*{total}***{place}:B:{frequency}*{signature}*{assignment}*{benefits}*{release}**{related?}
2300    S  DTP*439*D8*{accident_date}
2300    S  REF*G1*{authorization}
2300    S  REF*F8*{payer_number}
2300    R  HI*{diagnoses}
2310A   S  NM1*DN*1*{referring_family}*{referring_given?}****XX*{referring_npi}
2310B   S  NM1*82*1*{rendering_family}*{rendering_given?}****XX*{rendering_npi}
2310B   S  PRV*PE*PXC*{rendering_taxonomy}
2310D   S  NM1*DQ*1*{supervising_family}*{supervising_given?}****XX*{supervising_npi}
""")

LINE = table("""
2400    R  LX*{number}
2400    R  SV1*HC:{procedure}*{amount}*UN*{units}*{line_place?}**{pointers}
2400    R  DTP*472*D8*{service_date}
2400    R  REF*6R*{line_control}
2420A   S  NM1*82*1*{rendering_family}*{rendering_given?}****XX*{rendering_npi}
2420A   S  PRV*PE*PXC*{rendering_taxonomy}
2420D   S  NM1*DQ*1*{supervising_family}*{supervising_given?}****XX*{supervising_npi}
2420F   S  NM1*DN*1*{referring_family}*{referring_given?}****XX*{referring_npi}
""")

MOST_LINES = 50  # LX loops of a claim
MOST_DIAGNOSES = 12  # HI
MOST_MODIFIERS = 4  # SV101-3 to SV101-6; a fifth would become the description, SV101-7
MOST_POINTERS = 4  # SV107
MOST_CLAIMS = 26  # of one day, by the letter in the patient control number; the guide allows 100

# What a fact is called towards a person, and where it is put right.
FACTS = {
    "submitter_name": ("the billing provider's name", "billing_provider.name of the clinic file"),
    "contact": ("the billing contact's name", "billing_provider.contact of the clinic file"),
    "phone": ("the billing contact's telephone", "billing_provider.phone of the clinic file"),
    "billing_name": ("the billing provider's name", "billing_provider.name of the clinic file"),
    "billing_npi": ("the billing provider's NPI", "billing_provider.npi of the clinic file"),
    "billing_taxonomy": ("the billing provider's taxonomy code", "billing_provider.taxonomy of the clinic file"),
    "billing_street": ("the billing provider's street", "billing_provider.address of the clinic file"),
    "billing_city": ("the billing provider's city", "billing_provider.address of the clinic file"),
    "billing_state": ("the billing provider's state", "billing_provider.address of the clinic file"),
    "billing_zip": ("the billing provider's nine-digit ZIP code", "billing_provider.address of the clinic file"),
    "tax_kind": ("the billing provider's tax id", "billing_provider.tax_id of the clinic file"),
    "tax_id": ("the billing provider's tax id", "billing_provider.tax_id of the clinic file"),
    "signature": ("whether the provider's signature is on file (CLM06)", "claims.signature_on_file of the clinic file"),
    "assignment": ("whether assignment is accepted (CLM07)", "claims.accepts_assignment of the clinic file"),
    "benefits": ("whether benefits are assigned (CLM08)", "claims.benefits_assigned of the clinic file"),
    "release": ("whether information may be released (CLM09)", "claims.release_of_information of the clinic file"),
    "filing": ("how a claim names the payer", "claims.payers of the clinic file, under the payer's id or name in the EMR"),
    "payer_name": ("the payer's name", "claims.payers of the clinic file"),
    "payer_id": ("the payer's id", "claims.payers of the clinic file"),
    "group_number": ("the group number", "the coverage in the EMR"),
    "member_id": ("the member id", "the coverage in the EMR"),
    "subscriber_family": ("the subscriber's family name", "the coverage's subscriber in the EMR (over FHIR: RelatedPerson)"),
    "subscriber_given": ("the subscriber's given name", "the coverage's subscriber in the EMR (over FHIR: RelatedPerson)"),
    "patient_relationship": ("the patient's relationship to the subscriber", "the coverage in the EMR, or the mapping"),
    "family": ("the patient's family name", "the patient in the EMR"),
    "given": ("the patient's given name", "the patient in the EMR"),
    "birth_date": ("the patient's birth date", "the patient in the EMR"),
    "sex": ("the patient's sex", "the patient in the EMR"),
    "patient_street": ("the patient's street", "the patient in the EMR"),
    "patient_city": ("the patient's city", "the patient in the EMR"),
    "patient_state": ("the patient's state", "the patient in the EMR"),
    "patient_zip": ("the patient's ZIP code", "the patient in the EMR"),
    "place": ("the place of service", "the visit in the EMR, or the mapping"),
    "service_date": ("the service date", "the visit in the EMR"),
    "diagnoses": ("a diagnosis", "the visit in the EMR"),
    "line": ("a service line", "the visit in the EMR, or what the finding names"),
    "accident_state": ("the state of the accident with a car", "the visit in the EMR"),
    "accident_date": ("the date of the accident", "the visit in the EMR"),
    "property_claim_number": ("the accident's claim number", "the visit in the EMR"),
    "authorization": ("the authorization number", "the visit in the EMR"),
    "rendering": ("the rendering provider", "the visit in the EMR"),
    "referring": ("the referring provider", "the visit in the EMR"),
    "supervising": ("the supervising provider", "the visit in the EMR"),
}
