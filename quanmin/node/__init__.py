"""Puts the parts together: from settings to one running node, and its command line."""

import gc

# The cycle collector runs seldom: records make trees, not cycles. A bundle makes some hundred
# thousand objects that all die with it; looking through them at the default thresholds took a tenth
# of an import, and a sixth of the time in which a command reads its modules, which is why it stands
# here.
gc.set_threshold(100_000, 50, 100)
