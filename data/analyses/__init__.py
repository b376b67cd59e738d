"""The analyses: each is one function of a connection, a query and its settings.

Page, command line and notebook call the same function, so they cannot disagree.
"""
