"""`make bench`: what the product promises about speed and memory, measured side by side on this machine.

One module for each bench, each with `run(settings)`. docs/performance.md says what is measured and why it is a ratio.
"""
