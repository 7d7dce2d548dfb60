"""How much a network carries in either shape, what it costs, and which shape suits it."""
