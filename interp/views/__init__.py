"""Estimates, tests and sweeps as the blocks of a report."""
