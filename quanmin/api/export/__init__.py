"""Bulk export: `$export` (Bulk Data Access 2.0.0), done as a background job and given out as
files.
"""

from quanmin.api.export.asking import Asked, Asking, Language, members_of, pack_keys, patient_ids
from quanmin.api.export.job import Exports, Finished, export_kind
from quanmin.api.export.limits import ExportLimits
from quanmin.api.export.progress import Position, Progress
from quanmin.base.growing import Part, Sink, grown, gzip_head, gzip_tail, pack, write_at

__all__ = [
    "Asked",
    "Asking",
    "ExportLimits",
    "Exports",
    "Finished",
    "Language",
    "Part",
    "Position",
    "Progress",
    "Sink",
    "export_kind",
    "grown",
    "gzip_head",
    "gzip_tail",
    "members_of",
    "pack",
    "pack_keys",
    "patient_ids",
    "write_at",
]
