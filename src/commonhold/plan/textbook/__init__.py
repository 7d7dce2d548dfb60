"""What textbooks say of the two shapes, tried."""
