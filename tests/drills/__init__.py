"""Fault drills: a whole installation of its own, and everything in it dies."""
