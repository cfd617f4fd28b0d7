"""The program behind `sentrascan-files`: small files that no other tool opens.

Runs as a process of its own in the sandbox, with the standard library alone.
"""
