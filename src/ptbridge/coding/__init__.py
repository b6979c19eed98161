"""ptbridge.coding"""
