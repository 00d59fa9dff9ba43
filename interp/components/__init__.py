"""A part of a model, one type: a head, an MLP, a neuron, a layer, an embedding, a bias, or several together.

A `Component` is what tables, labels, senders, receivers and interventions name. It knows how it is
spelt, which columns name it in a table, and which slices of which sites hold what it computes.

>>> head = Head(5, 1)
>>> print(head, head.columns())
L5H1 {'layer': 5, 'head': 1}
>>> print(together(head, MLP(6)))
L5H1 + L6 MLP
>>> parse("L5N77")
Neuron(layer=5, index=77)

`heads(model)`, `mlps(model)` and the like list what a model has; `head.slices(model)` says where what it
computes is held, and raises an error that names what the model has if it has no such head.
"""

from interp.components.component import Component, Slice
from interp.components.kinds import (
    MLP,
    AttentionBias,
    AttentionLayer,
    Embedding,
    Head,
    KVHead,
    Layer,
    Logits,
    MLPBias,
    Neuron,
    PosEmbedding,
)
from interp.components.lists import (
    Joint,
    attention_layers,
    heads,
    kv_heads,
    layers,
    mlps,
    neurons,
    parse,
    sites_of,
    together,
)

__all__ = [
    "MLP",
    "AttentionBias",
    "AttentionLayer",
    "Component",
    "Embedding",
    "Head",
    "Joint",
    "KVHead",
    "Layer",
    "Logits",
    "MLPBias",
    "Neuron",
    "PosEmbedding",
    "Slice",
    "attention_layers",
    "heads",
    "kv_heads",
    "layers",
    "mlps",
    "neurons",
    "parse",
    "sites_of",
    "together",
]
