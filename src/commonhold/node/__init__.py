"""The node: builds and joins all parts."""
