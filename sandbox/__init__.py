"""A pretend EMR, a pretend biller, a maker of pretend visits."""
