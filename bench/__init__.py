"""Latency, memory and quality, measured."""
