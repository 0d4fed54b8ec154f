"""Opens every page of a demonstration in a real browser, in every way in which people see it, holds
each against the bar, and writes a report with pictures.

    python -m ui FOLDER             the pages of a node that it starts and fills in FOLDER
    python -m ui FOLDER --timed     and how long each takes on a slow line
"""
