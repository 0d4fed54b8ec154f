"""The page kit: what every page of a node shares, so that an application is only its own matter.

A page is declared with its access, receives a `Visit` (who asks, in which language, how to answer)
and, in an application, the records that the application has declared. The kit does the rest:
signing in, languages, the large-text mode, forms that cannot be forged, security headers, static
files, error pages. Every page works with JavaScript off, but for what only a script can do:
passkeys, and forms where there is no connection.
"""

from quanmin.trust.due import Asked
from quanmin.web.application import Application, Front, Level
from quanmin.web.house import KitSettings
from quanmin.web.records import DeclaredRecords, Due, DueList
from quanmin.web.route import Access, Page, page
from quanmin.web.text import Language, Text
from quanmin.web.visit import Visit
from quanmin.web.whole import build
from quanmin.web.work import Work

__all__ = [
    "Access",
    "Application",
    "Asked",
    "DeclaredRecords",
    "Due",
    "DueList",
    "Front",
    "KitSettings",
    "Language",
    "Level",
    "Page",
    "Text",
    "Visit",
    "Work",
    "build",
    "page",
]
