"""Who waits for whom: requests at processors, disks and links, as formulas and as events."""
