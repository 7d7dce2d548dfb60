"""Processors: jobs, lent and borrowed."""
