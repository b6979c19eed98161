"""ptbridge.ledger"""
