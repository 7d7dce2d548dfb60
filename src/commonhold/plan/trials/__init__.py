"""Comparisons: what people ask in them, what came of it, and what they predict."""
