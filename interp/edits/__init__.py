"""Interventions as values: at this site, for these heads and positions, put this.

An `Edit` is data, so it can be planned, batched, hashed and printed; `call` makes one out of a Python
function, which runs but cannot be planned. An edit never changes the activation it is given: it
returns a new one, so nothing that was read before can be reached by it.

    edits.zero(sites.z(9), heads=6)
    edits.patch(sites.resid_pre(4), clean_run.cache, positions=[10])
    edits.add(sites.resid_post(12), steering_vector, scale=4.0)
"""

from interp.edits.edit import Edit, edits_digest, edits_of
from interp.edits.making import REAL, add, call, freeze, mean, patch, put, zero
from interp.edits.values import Add, Call, Index, Positions, Put, Value, Where, Zero

__all__ = [
    "REAL",
    "Add",
    "Call",
    "Edit",
    "Index",
    "Positions",
    "Put",
    "Value",
    "Where",
    "Zero",
    "add",
    "call",
    "edits_digest",
    "edits_of",
    "freeze",
    "mean",
    "patch",
    "put",
    "zero",
]
