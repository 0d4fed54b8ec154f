"""Stock: lots of what is kept, what moves them, and whether they were kept as they must be.

A lot in a store is one record; each movement is its next version, on top of the one that was read,
with a SupplyDelivery that tells of it. So what is on hand is one number, two who take the last dose
at once are told apart, and it is never below nought.
"""

from quanmin.workflow.stock.cold_chain import Excursion, Store, excursions, stores
from quanmin.workflow.stock.lots import (
    LOT_SYSTEM,
    MOVEMENT_SYSTEM,
    Lot,
    Movement,
    lot_entry,
    lot_of,
    lot_unfit,
    moved,
    movements,
)
from quanmin.workflow.stock.products import PRODUCT_SYSTEM, Product, products

__all__ = [
    "LOT_SYSTEM",
    "MOVEMENT_SYSTEM",
    "PRODUCT_SYSTEM",
    "Excursion",
    "Lot",
    "Movement",
    "Product",
    "Store",
    "excursions",
    "lot_entry",
    "lot_of",
    "lot_unfit",
    "moved",
    "movements",
    "products",
    "stores",
]
