"""Latency of bundles, and whether it changed."""
