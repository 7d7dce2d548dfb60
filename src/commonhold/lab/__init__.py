"""Computers of one machine as a laboratory: real nodes, whose links and processors are held to a rate."""
