"""Where a picture's time goes: by operator, and by block of the network."""
