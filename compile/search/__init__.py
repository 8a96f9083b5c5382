"""Which layers take which scheme: measured on this machine, within a quality budget."""
