"""In a person's own process: functions that are called elsewhere, and packages that travel with them."""
