"""Who there is: institutions, practitioners, posts, and who may act on this very day."""

from quanmin.trust.registers.credit_code import judge_credit_code
from quanmin.trust.registers.institution_index import InstitutionIndex
from quanmin.trust.registers.institutions import Institution, Institutions
from quanmin.trust.registers.standing import Standing, Standings

__all__ = [
    "Institution",
    "InstitutionIndex",
    "Institutions",
    "Standing",
    "Standings",
    "judge_credit_code",
]
