"""Turns layers of torch.nn into fastconv's and back, and reports who computes each. Layer: public,
over modules.

A parametrized layer has a class of its own, which is derived from the class of its layer. It gets
a class with the same properties that is derived from the layer's twin.
"""

import warnings
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules import conv, pooling
from torch.nn.utils import parametrize

from fastconv import modules, modules_conv, modules_pool, routing
from fastconv.core.arguments import DTYPES
from fastconv.core.tensors import DEVICE_REFUSALS
from fastconv.tables import table

Model = TypeVar("Model", bound=nn.Module)


def _public(module: object) -> dict[type, type]:
    """torch.nn's class -> ours of the same name."""
    ours = [c for c in vars(module).values() if isinstance(c, type) and issubclass(c, nn.Module)]
    return {getattr(nn, c.__name__): c for c in ours if c.__module__ == module.__name__
            and hasattr(nn, c.__name__)}  # fmt: skip


TWINS = {**_public(modules), **_public(modules_conv), **_public(modules_pool)}
_PARENTS = {**{ours: torchs for torchs, ours in TWINS.items()}, modules.Conv2dSame: nn.Conv2d}
# What a convolution or pool of torch.nn derives from.
_BASES = tuple(
    c for module in (conv, pooling) for c in vars(module).values()
    if isinstance(c, type) and issubclass(c, nn.Module) and c.__module__ == module.__name__
)  # fmt: skip


def kind_of(layer: nn.Module) -> type:
    """A layer's class, for a parametrized one that which it had before."""
    return type(layer).__base__ if parametrize.is_parametrized(layer) else type(layer)


def _swap(model: Model, classes: dict[type, type]) -> Model:
    made: dict[type, type] = {}  # parametrized classes, which layers may share
    for module in model.modules():
        kind = kind_of(module)
        if kind not in classes:
            continue
        if kind is type(module):
            module.__class__ = classes[kind]
            continue
        old = type(module)
        if old not in made:
            own = {k: v for k, v in vars(old).items() if k not in ("__dict__", "__weakref__")}
            made[old] = type(f"Parametrized{classes[kind].__name__}", (classes[kind],), own)
        module.__class__ = made[old]
    return model


@dataclass(frozen=True)
class ReportRow:
    """One convolution or pool of a model.

    Attributes:
        layer: its name in the model, "" for the model itself.
        kind: its class.
        computed_by: "fastconv" or "torch".
        why: where torch computes it, why; else "".

    Examples:
        >>> fastconv.report(fastconv.Conv2d(3, 8, 3)).rows[0]
        ReportRow(layer='', kind='Conv2d', computed_by='fastconv', why='')
    """

    layer: str
    kind: str
    computed_by: str
    why: str


@dataclass(frozen=True)
class Report:
    """Every convolution and pool of a model, in the order of its modules. `str` makes a table.

    Attributes:
        rows: a :class:`fastconv.ReportRow` for each layer.

    Examples:
        >>> print(fastconv.report(torch.nn.MaxPool2d(2)).summary())
        0 of 1 convolution and pooling layers are fastconv's
          1 left to torch: torch's own MaxPool2d: fastconv.convert(model)
    """

    rows: tuple[ReportRow, ...]

    @property
    def counts(self) -> dict[str, int]:
        """``{"fastconv": layers, "torch": layers}``"""
        found = Counter(row.computed_by for row in self.rows)
        return {name: found[name] for name in ("fastconv", "torch")}

    def as_dicts(self) -> list[dict[str, str]]:
        """The rows as dictionaries, for JSON or a data frame."""
        return [asdict(row) for row in self.rows]

    def summary(self) -> str:
        """A sentence, and a line for each reason."""
        ours, torchs = self.counts.values()
        text = f"{ours} of {ours + torchs} convolution and pooling layers are fastconv's"
        reasons = Counter(row.why for row in self.rows if row.computed_by == "torch")
        lines = [f"  {count} left to torch: {why}" for why, count in reasons.most_common()]
        return "\n".join([text, *lines])

    def __str__(self) -> str:
        if not self.rows:
            return "the model has no convolution or pooling layers"
        lines = [[r.layer, r.kind, r.computed_by, r.why] for r in self.rows]
        return f"{table([['layer', 'class', 'computed by', 'why'], *lines])}\n\n{self.summary()}"


def report(model: nn.Module) -> Report:
    """Which convolution and pooling layers of `model` fastconv computes, which torch, and why.

    It looks at the modules and runs nothing; :func:`fastconv.explain` runs the model and sees calls
    of functions, too. Layers left to torch are those that fastconv does not cover, those of classes
    derived from torch.nn's, and those of a model that was not converted.

    Args:
        model: any module, converted or not.

    Examples:
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.MaxPool2d(2))
        >>> fastconv.report(model).counts
        {'fastconv': 0, 'torch': 2}
        >>> print(fastconv.report(fastconv.convert(model)))
        layer  class      computed by  why
        -----  ---------  -----------  ---
        0      Conv2d     fastconv
        1      MaxPool2d  fastconv
        <BLANKLINE>
        2 of 2 convolution and pooling layers are fastconv's
    """
    routed: set[int] = set()
    for module in model.modules():
        if routing.is_routed(module):
            routed |= {id(inner) for inner in module.modules()}
    rows = []
    for name, module in model.named_modules():
        if isinstance(module, _BASES):
            why = _why_torch(module, id(module) in routed)
            owner = "torch" if why else "fastconv"
            rows.append(ReportRow(name, kind_of(module).__name__, owner, why))
    return Report(tuple(rows))


def _why_torch(layer: nn.Module, routed: bool) -> str:
    kind = kind_of(layer)
    weight = None if _is_lazy(layer) else getattr(layer, "weight", None)
    if isinstance(weight, torch.Tensor):
        if weight.device.type not in (*DEVICE_REFUSALS, "meta"):
            return f"no kernels for the device {weight.device.type}"
        if weight.dtype not in DTYPES:
            return f"no kernels for {weight.dtype}"
    if issubclass(kind, tuple(_PARENTS)):
        return ""
    covered = [torchs for torchs in TWINS if issubclass(kind, torchs)]
    if not covered:
        return f"{kind.__name__} is not covered"
    if routed:
        return ""
    if kind in TWINS:
        return f"torch's own {kind.__name__}: fastconv.convert(model)"
    return f"a subclass of {covered[0].__name__}: fastconv.convert(model, mode='functions')"


def _is_lazy(layer: nn.Module) -> bool:
    has = getattr(layer, "has_uninitialized_params", None)
    return has is not None and has()


def convert(model: Model, *, mode: str = "classes", verbose: bool = False) -> Model:
    """Makes every convolution and pooling layer of `model` that fastconv has a twin of that twin,
    in place.

    Parameters, hooks, parametrizations, training flags and optimizers stay as they are; only exact
    torch.nn classes change, not classes derived from them. Lazy layers become fastconv's once they
    know their size. Returns `model`. :func:`fastconv.revert` undoes it. No other thread may run the
    model while it is converted or reverted. One warning counts the layers that stay torch's;
    :func:`fastconv.report` lists them.

    Args:
        model: any module; a layer alone counts as one.
        mode: "classes", or "functions": classes stay torch's own, and every forward run of `model`
            is a block of :func:`fastconv.enabled`. Derived classes, functional calls and tools that
            want exactly ``torch.nn.Conv2d`` are served that way.
        verbose: print the summary of :func:`fastconv.report`.

    Raises:
        ValueError: another mode, or in mode "functions" a model whose forward was replaced.

    Examples:
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.MaxPool2d(2))
        >>> model = fastconv.convert(model, verbose=True)
        2 of 2 convolution and pooling layers are fastconv's
        >>> type(model[0])
        <class 'fastconv.modules.Conv2d'>
    """
    if mode == "functions":
        routing.route(model)
    elif mode == "classes":
        _swap(model, TWINS)
    else:
        raise ValueError(f"mode must be 'classes' or 'functions', got {mode!r}")
    found = report(model)
    left = found.counts["torch"]
    if verbose:
        print(found.summary())
    elif left:
        warnings.warn(
            f"fastconv.convert left {left} of {len(found.rows)} convolution and pooling layers to "
            "torch; fastconv.report(model) says which and why",
            stacklevel=2,
        )
    return model


def revert(model: Model) -> Model:
    """Makes every fastconv layer of `model` its torch.nn parent again, in place. Returns `model`.

    Parametrizations, lazy layers and functions mode are reverted, too.

    Args:
        model: any module, converted or not.

    Examples:
        >>> type(fastconv.revert(fastconv.Conv2d(3, 8, 3)))
        <class 'torch.nn.modules.conv.Conv2d'>
    """
    return routing.unroute(_swap(model, _PARENTS))
