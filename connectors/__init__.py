"""One file per EMR."""
