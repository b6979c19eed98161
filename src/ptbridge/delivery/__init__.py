"""ptbridge.delivery"""
