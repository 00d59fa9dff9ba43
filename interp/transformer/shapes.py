"""What flows through the transformer, by its axes."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

Tokens = Int[Tensor, "batch pos"]
Resid = Float[Tensor, "batch pos d_model"]
Queries = Float[Tensor, "batch query head d_head"]
# Of values too.
Keys = Float[Tensor, "batch key kv_head d_head"]
# Values, averaged over the keys by each head's pattern.
Mixed = Float[Tensor, "batch pos head d_head"]
# True where a query may attend to a key; one row for all examples where they are alike.
Mask = Bool[Tensor, "#batch 1 query key"]
Logits = Float[Tensor, "batch pos d_vocab"]
