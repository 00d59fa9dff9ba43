"""What words mean here: the field's own, each in one sentence. The README's glossary is this one."""

GLOSSARY: dict[str, str] = {
    "residual stream": (
        "the vector at each position that every layer reads and adds to; `resid_pre`, `resid_mid`"
        " and `resid_post` are it before, within and after a layer"
    ),
    "component": "a part of the model that writes to the residual stream: a head, an MLP, a neuron, an "
    "embedding, a bias, a whole layer",
    "head": "an attention head; `L5H1` is head 1 of layer 5, both counted from 0",
    "key/value head": (
        "where several query heads share keys and values (grouped-query attention), what they share"
    ),
    "attends to": "a head attends to a position as far as its pattern gives weight to it",
    "pattern": "a head's weights over positions after the softmax; they sum to 1",
    "scores": "what the softmax is taken of: queries times keys, scaled and masked",
    "z": "a head's values, mixed by its pattern, before its output matrix",
    "head_out": "what a head writes to the residual stream: z times its rows of W_O (TransformerLens's "
    "`result`)",
    "neuron": "one unit of an MLP; `mlp_pre` is before and `mlp_post` after the activation function",
    "site": "a readable place of the model, such as `z` of layer 5; sites have TransformerLens's "
    "names",
    "edit": "an intervention as a value: zero, mean, put, patch, add, freeze or call, at a site",
    "clean, corrupted": (
        "the two prompts of a pair: the task's prompt, and one alike in which the answer is another"
    ),
    "answer, distractor": "the right token, and the wrong one that it is compared with (column `wrong`)",
    "logit difference": "the logit of the answer minus that of the distractor, at END",
    "END": "the last position of a prompt, where the answer is read",
    "BOS": "the token that begins a text, where the model was trained with one",
    "template": "a sentence with slots; prompts of one template share all but what fills them",
    "variant": "an order of a template's names, such as ABBA and BABA (column `order`)",
    "item": "what fills the slot that carries the answer",
    "cluster": "prompts that share what chance decided, usually their template; they are counted as one",
    "screen": "the few prompts on which all components are measured",
    "discovery half": "the prompts of the screen on which components are chosen",
    "held-out": "prompts on which nothing was chosen: the screen's other half, and the fresh prompts of "
    "other templates",
    "confirmation": "the chosen components, estimated on fresh held-out prompts",
    "effect": "edited minus base run; negative where the edit made the answer less likely",
    "total effect": "the effect of an edit with everything after it computed again",
    "direct effect": "the part of it that goes along the residual stream to the logits alone",
    "ablation": "a component's activation replaced: by zeros, by its `mean` over other corrupted prompts "
    "of the template, or by its value on the paired corrupted prompt (`resample`)",
    "patching": "an activation of one run put into another: denoising restores the clean one in the "
    "corrupted run, noising puts the corrupted one into the clean run",
    "recovery": "the share of the gap between corrupted and clean run that a patch brings back",
    "path patching": "a component's changed output given to one input of one later component alone",
    "frozen": "kept at its value of the base run while other things change",
    "direct logit attribution": (
        "what each component's write adds to the logit difference, the final norm frozen"
    ),
    "logit lens": "the residual stream of each layer, read by the final norm and the unembedding",
    "induction head": "a head that attends to the token after an earlier copy of the present one",
    "self-repair": "later components making up for some of what an ablated one did",
    "matched control": (
        "the same measurement for something alike that was not chosen: random sets of the same "
        "layers, changes of equal norm in other directions"
    ),
    "verdict": "*supported*, *not supported* or *inconclusive*, by a rule that was written down "
    "beforehand",
    "null, population, power": (
        "how often the verdict would come out for a random choice; to what it generalises; the "
        "smallest effect that this design finds 8 times in 10"
    ),
    "interval": "95 %, of the mean of clusters' means; p inverts it",
}


def markdown() -> str:
    """The words as a Markdown list, in the order of a model and then of a study."""
    return "\n".join(f"- **{word}**: {meaning}." for word, meaning in GLOSSARY.items())
