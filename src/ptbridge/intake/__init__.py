"""ptbridge.intake"""
