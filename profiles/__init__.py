"""Recipes: what to build from a checkpoint, and how good it must be."""
