"""Linear layers with a LoRA adapter, in as few matrix products as there are.

Why: peft leaves a layer to autograd as `base(x) + up(down(x)) * scale`: the update is written out at full width, then scaled and
added in passes of their own, forward and backward, and every factor is cast. Here the product itself adds the update, the base
weight is frozen and gets no gradient, and a base in 4 bits is unpacked for each pass and not kept.
"""

from functools import cache
from typing import Any, cast

import torch
from peft.tuners.lora import LoraLayer
from torch.nn import functional


def speed_up_lora(layer: torch.nn.Module) -> bool:
    """Give a LoRA layer the forward pass of this module, in place; False, and unchanged, where it does more than plain LoRA."""
    if not isinstance(layer, LoraLayer) or not _is_plain(layer):
        return False
    layer.__class__ = _fast_class(type(layer))  # type: ignore[assignment]  # a class made at run time
    return True


def _is_plain(layer: LoraLayer) -> bool:
    base = layer.get_base_layer()
    return (
        isinstance(base, torch.nn.Linear)
        and (base.weight.is_floating_point() or _state(base.weight) is not None)
        and not any(parameter.requires_grad for parameter in base.parameters())
        and not layer.lora_variant
        and not any(layer.lora_bias.values())
        and all(isinstance(dropout, torch.nn.Identity) for dropout in layer.lora_dropout.values())
    )


@cache
def _fast_class(kind: type[torch.nn.Module]) -> type[torch.nn.Module]:
    """One of peft's classes with this module's forward pass; where an adapter is switched off or merged it is peft's own."""

    def forward(self: Any, hidden: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.disable_adapters or self.merged or len(self.active_adapters) != 1 or args or kwargs:
            return cast("torch.Tensor", kind.forward(self, hidden, *args, **kwargs))
        name = self.active_adapters[0]
        base = self.get_base_layer()
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        down, up = self.lora_A[name].weight, self.lora_B[name].weight
        output: torch.Tensor = _LoraProduct.apply(hidden.to(dtype), down, up, base, self.scaling[name])  # type: ignore[no-untyped-call]
        return output

    return type(f"Fast{kind.__name__}", (kind,), {"forward": forward})


class _LoraProduct(torch.autograd.Function):
    """x Wᵀ + b + scale · (x Aᵀ) Bᵀ with A = `down` and B = `up`; W and b are frozen."""

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, down: torch.Tensor, up: torch.Tensor, base: torch.nn.Linear, scale: float
    ) -> torch.Tensor:
        rows = hidden.flatten(0, -2)
        inner = rows @ down.to(rows.dtype).t()
        bias = cast("torch.Tensor | None", base.bias)
        output = functional.linear(rows, _dense(base.weight, rows.dtype), None if bias is None else bias.to(rows.dtype))
        output.addmm_(inner, up.to(rows.dtype).t(), alpha=scale)
        ctx.save_for_backward(rows, inner, down, up)
        ctx.base, ctx.scale = base, scale
        return output.view(*hidden.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, inner, down, up = ctx.saved_tensors
        gradient = gradients[0].flatten(0, -2)
        on_inner = gradient @ up.to(rows.dtype)
        on_up = (inner.t() @ gradient).t().to(up.dtype) * ctx.scale
        on_down = (on_inner.t() @ rows).to(down.dtype) * ctx.scale
        on_hidden = None
        if ctx.needs_input_grad[0]:
            on_hidden = gradient @ _dense(ctx.base.weight, rows.dtype)
            on_hidden.addmm_(on_inner, down.to(rows.dtype), alpha=ctx.scale)
            on_hidden = on_hidden.view(*gradients[0].shape[:-1], -1)
        return on_hidden, on_down, on_up, None, None


def _dense(weight: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    state = _state(weight)
    if state is None:
        return weight.to(dtype)
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(weight, state).to(dtype)


def _state(weight: torch.Tensor) -> Any:
    """What bitsandbytes knows of a weight in 4 bits."""
    return getattr(weight, "quant_state", None)
