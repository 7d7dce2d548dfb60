"""The computer that lends its processors: who may have them, and what guests may use."""
