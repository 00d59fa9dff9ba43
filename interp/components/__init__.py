"""A part of a model, one type: a head, an MLP, a neuron, a layer, an embedding, a bias, or several together.

A `Component` is what tables, labels, senders, receivers and interventions name. It knows how it is
spelt, which columns name it in a table, and which slices of which sites hold what it computes.

    Head(5, 1)                        str(Head(5, 1)) == "L5H1"; columns() == {"layer": 5, "head": 1}
    Head(5, 1).slices(model)          (Slice(sites.z(5), heads=(1,)),)
    components.heads(model)           every head, layer by layer
    together(Head(5, 1), MLP(6))      both as one
    components.parse("L5H1")          Head(5, 1)
"""

from interp.components.component import Component, Slice
from interp.components.joint import Joint, together
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
    attention_layers,
    heads,
    kv_heads,
    layers,
    mlps,
    neurons,
    sites_of,
)
from interp.components.spelling import parse

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
