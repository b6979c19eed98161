"""ptbridge.wire"""
