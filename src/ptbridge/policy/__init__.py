"""ptbridge.policy"""
