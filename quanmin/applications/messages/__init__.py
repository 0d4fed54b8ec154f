"""For those who run a node: what it sent to people's phones and mailboxes, and what was refused.

On the ground that nothing is lost: every refusal stands in a queue, with its reason and a button
that sends it again (design idea 4).
"""
