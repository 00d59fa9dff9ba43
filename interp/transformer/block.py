"""One layer: attention and MLP read the stream and add to it, one after the other or side by side."""

from torch import nn

from interp import sites
from interp.transformer.attention import Attention
from interp.transformer.config import Config
from interp.transformer.hooks import NO_HOOKS, Hooks
from interp.transformer.inputs import reads
from interp.transformer.mlp import MLP
from interp.transformer.norm import LayerNorm
from interp.transformer.rotary import Angles
from interp.transformer.shapes import Mask, Resid


class Block(nn.Module):
    """resid_post = resid_pre + attn_out + mlp_out.

    In a sequential block the MLP reads resid_mid = resid_pre + attn_out; in a parallel block it
    reads resid_pre, through a norm of its own.
    """

    def __init__(self, config: Config, layer: int = 0) -> None:
        super().__init__()
        self.config, self.layer = config, layer
        self.ln1 = LayerNorm(config)
        self.attn = Attention(config, layer)
        if config.d_mlp:
            self.ln2 = LayerNorm(config)
            self.mlp = MLP(config, layer)

    def forward(
        self,
        resid_pre: Resid,
        mask: Mask | None = None,
        rotary: Angles | None = None,
        hooks: Hooks = NO_HOOKS,
    ) -> Resid:
        layer = self.layer
        resid_pre = hooks(sites.resid_pre(layer), resid_pre)
        read = reads(resid_pre, layer, self.config, self.ln1, hooks)
        resid = resid_pre + self.attn(read, mask, rotary, hooks)
        if self.config.d_mlp:
            if not self.config.parallel:
                resid = hooks(sites.resid_mid(layer), resid)
            mlp_reads = hooks(sites.mlp_in(layer), resid_pre if self.config.parallel else resid)
            mlp_in = self.ln2(mlp_reads, hooks, sites.ln2_scale(layer), sites.ln2_normalized(layer))
            resid = resid + self.mlp(mlp_in, hooks)
        return hooks(sites.resid_post(layer), resid)
