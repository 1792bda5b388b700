"""Benchmarks: they print figures and ratios, and pass or fail nothing."""
