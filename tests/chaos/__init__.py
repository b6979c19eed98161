"""Chaos: ptbridge as a process, broken in every way that a machine, a disk, a clock and two other systems can.

`python -m tests.chaos` plays each scenario in turn. A round is a scenario and one integer: everything that it rolls comes from
that integer, so `--only NAME --seed N` plays it again. What is asserted is asserted from the biller's side (`verdict`).
"""
