"""What a component's work would take at the best that this machine was seen to do."""
