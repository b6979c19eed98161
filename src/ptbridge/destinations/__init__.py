"""ptbridge.destinations"""
