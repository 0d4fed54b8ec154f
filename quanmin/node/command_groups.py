"""The groups of commands, each of one subject and in a module of its own."""

from __future__ import annotations

from typing import Final

from quanmin.node.account_commands import accounts
from quanmin.node.client_commands import clients
from quanmin.node.incident_commands import incidents
from quanmin.node.indexing_commands import search_parameters
from quanmin.node.job_commands import jobs
from quanmin.node.key_commands import keys
from quanmin.node.log_commands import log
from quanmin.node.notice_commands import notices
from quanmin.node.plan_commands import plans
from quanmin.node.quota_commands import quotas
from quanmin.node.register_commands import registers
from quanmin.node.retention_commands import retention
from quanmin.node.signature_commands import signatures
from quanmin.node.transfer_commands import transfers

GROUPS: Final = (
    *(accounts, clients, jobs, keys, log, quotas, registers, search_parameters, signatures),
    *(incidents, notices, plans, retention, transfers),
)
