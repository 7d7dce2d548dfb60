"""What advice rests on: values with their origin, measured, told or assumed, and what they cost."""
