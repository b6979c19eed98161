"""Fuzzing the readers of everything that comes from outside: `make fuzz`. Every case is replayed from one integer."""
