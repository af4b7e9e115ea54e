"""Tells counters of multiply-adds outside torch about fastconv's layers. Layer: public, over
conversion.

torch's own counter and torchinfo know them already. docs/ecosystem.md has the table of tools.
"""

from collections.abc import Callable
from typing import Any

from fastconv import conversion


def fvcore_handles() -> dict[str, Callable]:
    """For ``FlopCountAnalysis(model, inputs).set_op_handle(**fastconv.tools.fvcore_handles())``.

    Raises:
        ImportError: fvcore is not installed.

    Examples:
        >>> "fastconv::conv2d" in fastconv.tools.fvcore_handles()
        True
    """
    from fvcore.nn.jit_handles import conv_flop_count, elementwise_flop_counter, get_shape

    def convolution(inputs: list[Any], outputs: list[Any]) -> int:
        sizes = (get_shape(inputs[0]), get_shape(inputs[1]), get_shape(outputs[0]))
        return conv_flop_count(*sizes, transposed=False)

    def nothing(inputs: list[Any], outputs: list[Any]) -> int:
        return 0

    return {  # of pools fvcore counts the adaptive one alone
        "fastconv::conv2d": convolution,
        "fastconv::max_pool2d": nothing,
        "fastconv::adaptive_max_pool2d": nothing,
        "fastconv::avg_pool2d": nothing,
        "fastconv::adaptive_avg_pool2d": elementwise_flop_counter(1, 0),
    }


def thop_ops() -> dict[type, Callable]:
    """For ``thop.profile(model, inputs, custom_ops=fastconv.tools.thop_ops())``.

    Raises:
        ImportError: thop is not installed.

    Examples:
        >>> fastconv.Conv2d in fastconv.tools.thop_ops()
        True
    """
    from thop.profile import register_hooks

    twins = conversion.TWINS.items()
    return {ours: register_hooks[torchs] for torchs, ours in twins if torchs in register_hooks}
