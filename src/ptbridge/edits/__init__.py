"""ptbridge.edits"""
