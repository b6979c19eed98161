"""Mappings, payer policies and code tables, as data."""
