"""What the sandbox EMR says of itself, truthfully: CapabilityStatement and SMART configuration."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .charting import instant
from .search import Profile
from .smart import ALGORITHMS, Authority

_PARAMETER_TYPES = {
    "_id": "token", "_lastUpdated": "date", "date": "date", "patient": "reference", "encounter": "reference",
    "practitioner": "reference", "location": "reference", "actor": "reference", "name": "string", "family": "string",
}  # fmt: skip


def capability_statement(
    profile: Profile, authority: Authority, base_url: str, token_url: str, now: datetime
) -> dict[str, Any]:
    """The answer to `/metadata`: every type with exactly the search parameters that it takes."""
    resources = [
        {
            "type": name,
            "interaction": [{"code": "read"}, {"code": "search-type"}],
            "searchParam": [{"name": taken, "type": _PARAMETER_TYPES.get(taken, "token")} for taken in search.takes],
        }
        for name, search in sorted(profile.types.items())
    ]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(now),
        "kind": "instance",
        "software": {"name": f"ptbridge sandbox EMR, profile {profile.name}"},
        "implementation": {"description": "A pretend EMR on loopback", "url": base_url},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [{"mode": "server", "security": _security(authority, token_url), "resource": resources}],
    }


def _security(authority: Authority, token_url: str) -> dict[str, Any]:
    if authority.is_open:
        return {"description": "open"}
    service = {"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}
    uris = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
    return {
        "service": [{"coding": [service]}],
        "extension": [{"url": uris, "extension": [{"url": "token", "valueUri": token_url}]}],
    }


def smart_configuration(authority: Authority, token_url: str) -> dict[str, Any]:
    """The answer to `/.well-known/smart-configuration`."""
    methods = sorted({method for client in authority.clients for method in client.methods})
    return {
        "token_endpoint": token_url,
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "scopes_supported": sorted({scope for client in authority.clients for scope in client.scopes}),
        "capabilities": ["client-confidential-asymmetric", "client-confidential-symmetric", "permission-v2"],
    }
