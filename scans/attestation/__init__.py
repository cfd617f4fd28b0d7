"""A verdict that can be carried away: signed here, checked anywhere, offline.

An in-toto statement in a DSSE envelope. `issuing` makes it from rows, `verification`
believes one only for the reasons that it names; both are of the same `statement`.
"""
