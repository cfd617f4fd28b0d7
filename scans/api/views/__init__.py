"""The doors of /api/v1: read, call, answer."""
