"""An invented province with invented people, for showing and testing a node.

`Province` generates, `post` sends what it generated through the node's real door. Nothing in it
is a real person, a real place or a number that anybody can have: see `numbering.py` and
`definitions/demo/`.
"""
