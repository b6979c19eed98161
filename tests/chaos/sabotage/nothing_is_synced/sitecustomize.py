"""Breaks D21 on purpose: SQLite syncs nothing. `power_cut` must notice a ledger that is damaged or forgot."""

from ptbridge.ledger import database

_connect = database.connect


def _without_syncs(*words, **options):
    connection = _connect(*words, **options)
    connection.execute("PRAGMA synchronous=OFF")
    return connection


database.connect = _without_syncs
