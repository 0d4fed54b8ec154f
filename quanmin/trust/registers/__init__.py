"""Who there is: institutions, practitioners, posts, and who may act on this very day."""

from quanmin.trust.registers.admissions import (
    Admission,
    Admissions,
    Application,
    is_admitted,
)
from quanmin.trust.registers.authoring import LicensedActs
from quanmin.trust.registers.credit_code import judge_credit_code
from quanmin.trust.registers.desk import Registers
from quanmin.trust.registers.institution_index import InstitutionIndex
from quanmin.trust.registers.institutions import Institution, Institutions, Wanted
from quanmin.trust.registers.posts import Post, Posts
from quanmin.trust.registers.practitioner_index import PractitionerIndex
from quanmin.trust.registers.proxies import Proxies, Proxy
from quanmin.trust.registers.standing import Standing, Standings

__all__ = [
    "Admission",
    "Admissions",
    "Application",
    "Institution",
    "InstitutionIndex",
    "Institutions",
    "LicensedActs",
    "Post",
    "Posts",
    "PractitionerIndex",
    "Proxies",
    "Proxy",
    "Registers",
    "Standing",
    "Standings",
    "Wanted",
    "is_admitted",
    "judge_credit_code",
]
