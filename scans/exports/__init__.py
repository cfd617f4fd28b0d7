"""Rows to documents that others read."""
