"""All of it as one page of pictures."""
