"""ptbridge: the bridge between a physical-therapy clinic's EMR and its outsourced biller."""

__version__ = "0.1.0"
