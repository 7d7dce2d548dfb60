"""What opens what: who could read or destroy what, and what mistakes do."""
