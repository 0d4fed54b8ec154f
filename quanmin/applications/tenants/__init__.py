"""For system administrators of a node that serves several agencies: which tenants there are, who is
of them, what they have agreed to show each other, and which applications each has. Ground: the
node's own administration (GB/T 22239, duties of the system administrator); no personal data.
"""
