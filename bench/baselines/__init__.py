"""What users would take in place of a bundle, measured in an environment of its own."""
