"""Who may: one question asked at every door, and the parts that answer it."""
