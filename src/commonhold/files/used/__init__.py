"""The shares of other computers, seen from here: what `ls`, `get`, `put` and the like do."""
