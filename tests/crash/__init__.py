"""Writers that die, stall, race and run out of disk, and what is left then."""
