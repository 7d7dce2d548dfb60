"""A whole network on one machine: three nodes as real processes, both shapes, real files, a real job."""
