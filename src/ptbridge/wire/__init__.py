"""Speaks protocols (HTTP, FHIR, SMART); knows nothing of therapy."""
